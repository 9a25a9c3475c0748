"""How well the speed on this machine is told before a model runs: predicted from the kernels' measured rates, against
`bitwright bench`.

    python benchmarks/predict_here.py --model widened.f16.gguf --formats q4_0,q8_0,q4_k_m,q6_k,iq4_xs,f16

The machine is measured anew beside each format (what a shared machine can do drifts within minutes), round by round;
the medians are compared. --docs writes the table to docs/hardware.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from reporting import describe_machine, markdown

import bitwright as bw
from bitwright.cli import output
from bitwright.evaluate import speed as bench
from bitwright.hardware.forecast import PROMPT, forecast
from bitwright.hardware.machine import this_machine
from bitwright.hardware.outline import outline
from bitwright.hardware.weights import assign

TOKENS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--formats", default="q4_0,q8_0,q4_k_m,q6_k,iq4_xs,f16")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    headers = ["format", ">predicted decode", ">measured", ">error", ">predicted prefill", ">measured", ">error"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.formats.split(","):
            path = Path(folder) / f"{name}.gguf"
            if name == "f16":
                path = args.model
            else:
                bw.quantize(args.model, name, path, method="rtn")
            rows.append([name, *one(path, args.rounds)])
            output.remark("  ".join(rows[-1]))
    output.print_table(headers, rows)
    print("\n".join(markdown(headers, rows, describe_machine(bw.load(args.model).threads))))


def one(path: Path, rounds: int) -> list[str]:
    """Predicted and measured decode and prefill of a file, with the errors."""
    model, shape = bw.load(path), outline(path)
    assignments = assign(shape, None)
    predicted, measured = [], []
    for _ in range(rounds):
        machine = this_machine(again=True)
        found = forecast(machine.device(), shape, assignments, TOKENS // 2, machine=machine)
        predicted.append((found.decode.tokens_per_second, found.prefill.tokens_per_second))
        seen = bench.measure(model, prompt=PROMPT, tokens=TOKENS, rounds=3)
        measured.append((seen.decode, seen.prefill))
    cells = []
    for told, was in zip(zip(*predicted, strict=True), zip(*measured, strict=True), strict=True):
        guess, truth = statistics.median(told), statistics.median(was)
        cells += [f"{guess:.1f}", f"{truth:.1f}", f"{guess / truth - 1:+.0%}"]
    return cells


if __name__ == "__main__":
    main()
