"""Times what sessions share: a second session of a model, a fork of a long sequence, a swapped tensor, a cut step.

    python benchmarks/bench_sessions.py FILE.gguf [--tokens 4096]

Bytes are resident memory as Linux reports it; times are medians over --rounds. A fork copies no page, so its time does
not depend on the model. A swap packs one tensor and compiles the schedule.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import bitwright as bw
from bitwright.cli import output
from bitwright.kernels import Executor


def resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def median_ms(work: Callable[[], object], rounds: int) -> float:
    """The median time in milliseconds."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tokens", type=int, default=4096, help="length of the sequence that is forked")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    engine = bw.load(args.file, context=args.tokens + 64)
    ids = np.random.default_rng(0).integers(0, engine.config.vocabulary, args.tokens).tolist()
    rows: list[tuple[str, str]] = []

    def row(what: str, value: float, unit: str) -> None:
        rows.append((what, f"{value:,.2f} {unit}"))

    started, before = time.perf_counter(), resident()
    first = engine.session(sequences=2)
    row("first session: time", 1e3 * (time.perf_counter() - started), "ms")
    first.prefill(ids[:16])
    alone = resident() - before
    row("first session after 16 tokens: resident", alone / 1e6, "MB")
    started = time.perf_counter()
    second = engine.session()
    row("second session: time", 1e3 * (time.perf_counter() - started), "ms")
    second.prefill(ids[:16])
    row("second session after 16 tokens: resident", (resident() - before - alone) / 1e6, "MB")

    first.reset()
    first.extend(ids, [])
    used = first.memory.bytes_in_use
    row(f"fork of {args.tokens} tokens: time", median_ms(lambda: first.fork(0, 1), args.rounds), "ms")
    row(f"fork of {args.tokens} tokens: pages taken", (first.memory.bytes_in_use - used) / 1e6, "MB")
    row("save: time", median_ms(lambda: first.save(), args.rounds), "ms")

    name = next(op.weights[0] for op in engine.model.step.ops if op.kind == "linear")
    tensor = engine.model.tensors[name]
    copies = [type(tensor)(name, tensor.shape, tensor.format, tensor.data.copy()) for _ in range(2)]
    turns = iter(range(1 << 20))
    row(f"swap of {name}: time", median_ms(lambda: second.replace({name: copies[next(turns) % 2]}), args.rounds), "ms")

    layers = len(engine.config.layers)
    n = np.arange(min(512, args.tokens))
    tokens = np.array(ids[: len(n)])
    whole, memory = second.executor, second.memory
    last = Executor(second.program.cut(layers - 1), len(n))
    below = Executor(second.program.cut(0, layers - 1), len(n))
    hidden = below.run(memory, tokens, n, 0 * n, [])
    prefill = median_ms(lambda: whole.run(memory, tokens, n, 0 * n, [len(n) - 1]), args.rounds)
    resumed = median_ms(lambda: last.run(memory, tokens, n, 0 * n, [len(n) - 1], hidden), args.rounds)
    row(f"{len(n)} tokens through all layers", prefill, "ms")
    row(f"{len(n)} tokens resumed at the last layer", resumed, "ms")
    output.print_table(["what", ">value"], rows)


if __name__ == "__main__":
    main()
