"""Times one model step by step, from the NumPy reference to the current engine.

    python benchmarks/bench_ladder.py widened.q4_k_m.gguf --build "before the change=CHECKOUT" --write

The first steps are tiers and threads, the next ones changes of the code. A change that cannot be switched off is
measured with a build of its commit in another checkout (--build, repeatable, oldest first), made by `make build` or in
place by CMake. Every step runs in a separate process, and a round runs each step once, so that all see the same load.
Figures are medians over the rounds. NumPy multiplies float32 weights, decoded in advance, with its own threads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bitwright import Engine

HERE = Path(__file__).parent
HEADERS = ["step", ">prefill, tokens/s", ">times", ">decode, tokens/s", ">times"]
SEQUENCES = 8


class Step(NamedTuple):
    """A slow step has fewer `prompt` and decoded `tokens`; an empty `tier` means NumPy."""

    name: str
    tier: str
    threads: int
    prompt: int
    tokens: int
    checkout: str = ""


def steps(builds: list[str], threads: int) -> Iterator[Step]:
    from bitwright import kernels

    yield Step("NumPy, float32", "", threads, 32, 4)
    for tier in kernels.tiers():
        slow = tier == "scalar"
        yield Step(f"{tier}, 1 thread", tier, 1, 32 if slow else 256, 4 if slow else 32)
    for build in builds:
        name, _, checkout = build.rpartition("=")
        yield Step(name, tier, threads, 256, 64, str(Path(checkout).resolve()))
    yield Step(f"today: {tier}, all threads", tier, threads, 256, 64)
    yield Step(f"{SEQUENCES} sequences together", tier, threads, 0, 64)


def measure(model: Path, step: Step) -> tuple[float, float]:
    """Tokens per second of prefill (0: the step has none) and decode, in the checkout that this process imports."""
    import numpy as np

    import bitwright as bw

    if step.checkout and not Path(bw.__file__).is_relative_to(step.checkout):
        raise SystemExit(f"{step.name}: no build in {step.checkout}: run make build there")
    engine = bw.load(model, context=512, threads=step.threads, tier=step.tier or None)
    ids = np.random.default_rng(0).integers(0, engine.config.vocabulary, 512).tolist()
    prompt, tokens = ids[: step.prompt], ids[: step.tokens]
    if not step.tier:
        return measure_numpy(engine, prompt, tokens)
    together = not step.prompt
    session = engine.session(SEQUENCES if together else 1)
    rates = [0.0]
    if together:
        session.advance(dict.fromkeys(range(SEQUENCES), ids[:1]))
    else:
        session.prefill(prompt[:8])
        session.reset()
        rates = [len(prompt) / seconds(lambda: session.prefill(prompt))]
        session.reset(1)

    def decode() -> None:
        for token in tokens:
            session.advance({s: [token] for s in range(SEQUENCES)}) if together else session.step(token)

    rates.append(len(tokens) * (SEQUENCES if together else 1) / seconds(decode))
    return rates[0], rates[1]


def measure_numpy(engine: Engine, prompt: list[int], tokens: list[int]) -> tuple[float, float]:
    import numpy as np

    from bitwright import kernels

    step, tensors = engine.model.step, engine.model.tensors
    weights = {name: tensors[name].dequantize() for op in step.ops for name in op.weights}
    oracle = kernels.Oracle(step, weights, np.float32)

    def run(ids: list[int], first: int) -> None:
        oracle.run(ids, np.arange(first, first + len(ids)), np.zeros(len(ids), int), [len(ids) - 1])

    prefill = seconds(lambda: run(prompt, 0))
    decode = seconds(lambda: [run([token], len(prompt) + i) for i, token in enumerate(tokens)])
    return len(prompt) / prefill, len(tokens) / decode


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run_step(model: Path, step: Step) -> tuple[float, float]:
    """Runs `measure` in a process that imports the step's checkout, if it has one."""
    own = Path(step.checkout, ".venv/bin/python") if step.checkout else Path(sys.executable)
    command = [own if own.exists() else sys.executable, __file__, model, "--step", json.dumps(step)]
    env = os.environ | ({"PYTHONPATH": f"{step.checkout}/src"} if step.checkout else {})
    done = subprocess.run([str(word) for word in command], env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"step {step.name!r} failed")
    prefill, decode = json.loads(done.stdout)
    return prefill, decode


def table(found: dict[str, list[tuple[float, float]]]) -> list[list[str]]:
    """Medians, and their ratios to the first step's."""
    medians = {name: [statistics.median(x) for x in zip(*rates, strict=True)] for name, rates in found.items()}
    first = next(iter(medians.values()))

    def cells(value: float, base: float) -> list[str]:
        return [f"{value:.1f}", f"{value / base:.1f}"] if value else ["", ""]

    return [[name, *cells(p, first[0]), *cells(d, first[1])] for name, (p, d) in medians.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--build", action="append", default=[], metavar="NAME=CHECKOUT", help="an older build to time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/speed-ladder.md")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        return print(json.dumps(measure(args.model, Step(*json.loads(args.step)))))
    from reporting import describe_machine, markdown, write

    from bitwright.cli import output

    all_steps = list(steps(args.build, args.threads))
    found: dict[str, list[tuple[float, float]]] = {step.name: [] for step in all_steps}
    with output.progress("timing") as progress:
        for done in range(args.rounds * len(all_steps)):
            step = all_steps[done % len(all_steps)]
            progress(done, args.rounds * len(all_steps), step.name)
            found[step.name].append(run_step(args.model, step))
    machine = describe_machine(args.threads) | {"rounds": args.rounds, "model": args.model.name}
    lines = markdown(HEADERS, table(found), machine)
    print(*lines, sep="\n")
    if args.write:
        write("speed-ladder", "Speed, step by step", "bench_ladder.py", lines)


if __name__ == "__main__":
    main()
