"""Compares the speed that `bitwright plan --this-machine` predicts after `bitwright hardware` has measured this machine
with the fastest round of `bitwright bench`.

    python benchmarks/predict_here.py --model widened.f16.gguf --formats q4_k_m,q4_0,q8_0,q6_k,iq4_xs,f16 --write

Each round measures the machine again, then times every file. Figures are medians over the rounds, since the speed of a
shared machine changes within minutes. --write writes benchmarks/results/speed-here.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from reporting import describe_machine, markdown, write

import bitwright as bw
from bitwright.bench import speed
from bitwright.cli import output
from bitwright.hardware.forecast import PROMPT, forecast
from bitwright.hardware.machine import Machine, this_machine
from bitwright.hardware.weights import assign
from bitwright.model.architectures.outline import outline

TOKENS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--formats", default="q4_k_m,q4_0,q8_0,q6_k,iq4_xs,f16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--remembered", action="store_true", help="use the stored measurement of the machine")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    names = args.formats.split(",")
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.gguf" for name in names}
        for name, path in files.items():
            bw.quantize(args.model, name, path, method="rtn")
        formats = {info.format.name for path in files.values() for info in bw.open(path).tensors.values()}
        for _ in range(args.rounds):
            machine = this_machine(again=not args.remembered, formats=formats)
            for name, path in files.items():
                found[name].append(one(machine, path))
                output.remark(f"{name}: {', '.join(f'{x:.1f}' for x in found[name][-1])}")
    headers = ["format", ">decode, predicted", ">measured", ">error", ">prefill, predicted", ">measured", ">error"]
    rows = [[name, *cells(zip(*of_rounds, strict=True))] for name, of_rounds in found.items()]
    about = {"model": args.model.stem, "rounds": args.rounds}
    table = markdown(headers, rows, describe_machine(machine.measured.threads) | about)
    print("\n".join(table))
    if args.write:
        write("speed-here", "Speed on one machine: predicted and measured", "predict_here.py", table)


def one(machine: Machine, path: Path) -> list[float]:
    """For decode, then prefill: predicted and measured tokens per second, and the error of the prediction in %."""
    shape = outline(path)
    predicted = forecast(machine.device(), shape, assign(shape, None), 0, machine=machine)
    measured = speed.measure_speed(bw.load(path), PROMPT, TOKENS, rounds=5)
    pairs = (predicted.decode, measured.fastest_decode), (predicted.prefill, measured.fastest_prefill)
    guesses = [(guess.tokens_per_second, truth) for guess, truth in pairs]
    return [x for guess, truth in guesses for x in (guess, truth, 100 * (guess / truth - 1))]


def cells(columns: Iterable[tuple[float, ...]]) -> list[str]:
    medians = [statistics.median(column) for column in columns]
    return [f"{x:+.0f}%" if place % 3 == 2 else f"{x:.1f}" for place, x in enumerate(medians)]


if __name__ == "__main__":
    main()
