"""Compares the speed of two builds of bitwright on the same files, in turns in one run.

    python benchmarks/bench_versions.py --before CHECKOUT FILE.gguf ... [--rounds 9] [-d 8000]

CHECKOUT is another working tree whose compiled module was built in place (cmake -DBITWRIGHT_INPLACE=ON) or with `make
build`. Each build runs in one process that holds its model. The parent asks them in turns for a prefill and a decode,
so that both see the same load. Prints medians over the rounds, and quartiles of the ratio within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SEQUENCES = 8
SRC = Path(__file__).resolve().parent.parent / "src"


def serve(file: str, prompt: int, tokens: int, depth: int, threads: int) -> None:
    """The child: answers each line of stdin with seconds. Uses only what every version of the API offers."""
    import numpy as np

    import bitwright as bw

    started = time.perf_counter()
    engine = bw.load(file, context=max(prompt, depth + tokens) + 2, threads=threads)
    session = engine.session()
    together = engine.session(SEQUENCES)
    print(json.dumps({"open": time.perf_counter() - started, "from": str(Path(bw.__file__).parent)}), flush=True)
    ids = np.random.default_rng(0).integers(0, engine.config.vocabulary, prompt + depth + tokens).tolist()
    session.extend(ids[:depth], [])
    for line in sys.stdin:
        what = line.strip()
        session.reset(0 if what == "prefill" else min(depth, session.position))
        if what == "prefill":
            started = time.perf_counter()
            session.prefill(ids[:prompt])
        elif what == "decode":
            if session.position < depth:
                session.extend(ids[session.position : depth], [])
            session.step(ids[0]) if depth == 0 else None
            started = time.perf_counter()
            for id in ids[:tokens]:
                session.step(id)
        else:
            for sequence in range(SEQUENCES):
                together.reset(0, sequence)
            started = time.perf_counter()
            for id in ids[: tokens // 4]:
                together.advance({s: [id] for s in range(SEQUENCES)})
        print(time.perf_counter() - started, flush=True)


class Build:
    """A process of one build, on one file."""

    def __init__(self, name: str, checkout: Path, file: Path, args: argparse.Namespace) -> None:
        own = checkout / ".venv/bin/python"
        python = own if own.exists() and not list(checkout.glob("src/bitwright/kernels/_core*")) else sys.executable
        child = json.dumps([str(file), args.prompt, args.tokens, args.depth, args.threads])
        env = os.environ | {"PYTHONPATH": str(checkout / "src")}
        command = [str(python), str(Path(__file__).resolve()), "--child", child]
        self.name = name
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        opened = self.read()
        if not Path(opened["from"]).is_relative_to(checkout):
            raise SystemExit(f"{name}: no build in {checkout}: it imported {opened['from']}")

    def read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: its process has ended")
        return json.loads(line)

    def seconds(self, what: str) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(self.read())


def compare(file: Path, args: argparse.Namespace) -> list[tuple[str, ...]]:
    """Rows of file, measurement, before, after, their ratio and its quartiles."""
    work = {"prefill": args.prompt, "decode": args.tokens, "together": args.tokens // 4 * SEQUENCES}
    builds = [Build("before", args.before.resolve(), file, args), Build("after", SRC.parent, file, args)]
    rates: dict[str, list[list[float]]] = {what: [[], []] for what in work}
    for number in range(args.rounds + 1):
        for what, tokens in work.items():
            for index in (0, 1) if number % 2 else (1, 0):
                rate = tokens / builds[index].seconds(what)
                if number:  # the first round touches memory for the first time
                    rates[what][index].append(rate)
    rows = []
    for what, (before, after) in rates.items():
        ratios = [b / a for a, b in zip(before, after, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        a, b = statistics.median(before), statistics.median(after)
        rows.append((file.stem, what, f"{a:.1f}", f"{b:.1f}", f"{middle:.3f} ({low:.3f} to {high:.3f})"))
    for build in builds:
        build.process.kill()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--before", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("-p", "--prompt", type=int, default=512)
    parser.add_argument("-n", "--tokens", type=int, default=128)
    parser.add_argument("-d", "--depth", type=int, default=0)
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return serve(*json.loads(args.child))
    from bitwright.cli import output

    rows = [row for file in args.files for row in compare(file, args)]
    output.print_table(["file", "what", ">before, tokens/s", ">after", ">after/before (quartiles)"], rows)
    return None


if __name__ == "__main__":
    main()
