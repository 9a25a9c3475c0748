"""How well the speed on this machine is told before a model runs: predicted from the rates of the kernels, as
`bitwright hardware` measures them, against what `bitwright bench` times.

    python benchmarks/predict_here.py --model widened.f16.gguf --formats q4_0,q8_0,q4_k_m,q6_k,iq4_xs,q5_k_m --docs

Kernels and model take turns, and of both the fastest round counts: what a shared machine can do drifts within minutes,
and other work only ever slows one down. --docs writes the table to docs/hardware.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

from reporting import describe_machine, markdown

import bitwright as bw
from bitwright import formats, kernels
from bitwright.cli import output
from bitwright.evaluate.speed import seconds_to_prefill
from bitwright.hardware.detect import system
from bitwright.hardware.forecast import PROMPT, forecast
from bitwright.hardware.machine import Machine
from bitwright.hardware.measure import LEAST_BYTES, Kernel, Measured, kernel
from bitwright.hardware.outline import outline
from bitwright.hardware.weights import assign

TOKENS = 32
DOCS = Path(__file__).parents[1] / "docs/hardware.md"
BEGIN, END = "<!-- here: benchmarks/predict_here.py --docs -->", "<!-- end of here -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--formats", default="q4_0,q8_0,q4_k_m,q6_k,iq4_xs,q5_k_m")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--docs", action="store_true")
    args = parser.parse_args()
    headers = ["format", ">decode, predicted", ">measured", ">error", ">prefill, predicted", ">measured", ">error"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.formats.split(","):
            path = Path(folder) / f"{name}.gguf"
            bw.quantize(args.model, name, path, method="rtn")
            rows.append([name, *one(path, args.rounds)])
            output.remark("  ".join(rows[-1]))
            path.unlink()
    table = markdown(headers, rows, describe_machine(system().cores_usable) | {"model": args.model.stem})
    print("\n".join(table))
    if args.docs:
        docs = DOCS.read_text(encoding="utf-8")
        block = "\n".join([BEGIN, "", *table, "", END])
        DOCS.write_text(docs[: docs.index(BEGIN)] + block + docs[docs.index(END) + len(END) :], encoding="utf-8")


def one(path: Path, rounds: int) -> list[str]:
    """Predicted and measured decode and prefill of a file in tokens a second, with the errors."""
    model, shape = bw.load(path), outline(path)
    assignments, session = assign(shape, None), model.session()
    names = sorted({a.format.name for a in assignments})
    ids = [index % model.config.vocabulary for index in range(PROMPT)]
    best, decode, prefill = None, float("inf"), float("inf")
    for _ in range(rounds):
        best = faster(best, measured(model.threads, names))
        prefill = min(prefill, seconds_to_prefill(session, ids))
        session.reset()
        for token in ids[:TOKENS]:
            started = time.perf_counter()
            session.step(token)
            decode = min(decode, time.perf_counter() - started)
    assert best is not None
    machine = Machine(system(), (), (model.tier,), best)
    told = forecast(machine.device(), shape, assignments, 0, machine=machine)
    cells = []
    for guess, truth in ((told.decode, 1 / decode), (told.prefill, PROMPT / prefill)):
        speed = guess.tokens_per_second
        cells += [f"{speed:.1f}", f"{truth:.1f}", f"{speed / truth - 1:+.0%}"]
    return cells


def measured(threads: int, names: list[str]) -> Measured:
    """What forecasts need, of these formats alone."""
    meter = kernels.Meter(threads)
    read, int8, floats = 1e9 * meter.read_gb_s(), 1e9 * meter.int8_gop_s(), 1e9 * meter.bf16_gflop_s()
    rates = {name: kernel(formats.get(name), threads, LEAST_BYTES) for name in names}
    return Measured("today", kernels.tier(), threads, read, read, int8, floats, rates)


def faster(a: Measured | None, b: Measured) -> Measured:
    if a is None:
        return b
    rates = {
        name: Kernel(max(a.kernels[name].decode, k.decode), max(a.kernels[name].prefill, k.prefill))
        for name, k in b.kernels.items()
    }
    return dataclasses.replace(b, read=max(a.read, b.read), float=max(a.float, b.float), kernels=rates)


if __name__ == "__main__":
    main()
