"""Runs random mutants of tiny model files until a number of them has reached a step, and prints what became of them.

    python benchmarks/mutants.py --reach 5000 --seed 0

A mutant is a tiny model of one of the architectures and formats with a few random changes to its metadata, its tensors'
bytes, names, shapes and formats, or its header (tests/fuzz/mutants.py). It may be refused, or stopped by an error of
one line; anything else is a finding: another exception, a signal, more than 20 seconds, or more than 1 GiB. Mutant N
is always the same, so a finding is repeated by `--seed N --reach 1`. Exits with 1 if there are findings.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
SECONDS, ALLOWANCE = 20, 1 << 30
REACHED = ("ran", "stopped")


def work(seed: int) -> None:
    """In a process of its own: run mutants from number `seed` on, each announced before and reported after."""
    sys.path[:0] = [str(TESTS), str(TESTS / "fuzz")]
    from mutants import Mutants, outcome

    from bitwright.errors import UsageError

    made = Mutants()
    if os.environ.get("ASAN_OPTIONS") is None:  # whose shadow takes all of the address space
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + ALLOWANCE, resource.RLIM_INFINITY))
    while True:
        signal.alarm(SECONDS)
        try:
            found = outcome(made.make(seed))
        except UsageError:
            found = "cannot be written"
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        print(json.dumps([seed, found]), flush=True)
        seed += 1


def results(seed: int) -> Iterator[tuple[int, str]]:
    """Number and outcome of every mutant from `seed` on; a process that dies is replaced."""
    while True:
        command = [sys.executable, __file__, "--work", "--seed", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            try:
                for line in process.stdout:
                    seed, found = json.loads(line)
                    yield seed, found
                    seed += 1
            finally:
                process.kill()
            said = process.stderr.read().strip().splitlines()
        yield seed, f"died with {process.returncode}{': ' + said[0] if said else ''}"
        seed += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reach", type=int, default=5000, help="mutants that reach a step")
    parser.add_argument("--seed", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.seed)
    counts, findings, started = Counter[str](), 0, time.monotonic()
    for seed, found in results(args.seed):
        known = found in (*REACHED, "refused", "cannot be written")
        counts[found if known else "finding"] += 1
        if not known:
            findings += 1
            print(f"mutant {seed}: {found}", flush=True)
        if counts["ran"] + counts["stopped"] >= args.reach or (args.reach == 1 and findings):
            break
    reached = counts["ran"] + counts["stopped"]
    print(f"{counts.total()} mutants in {time.monotonic() - started:.0f} s: {counts['refused']} refused, {reached} "
          f"reached a step ({counts['stopped']} then stopped by an error), {findings} findings")  # fmt: skip
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
