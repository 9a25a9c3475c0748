"""How much of its speed an engine keeps while another process keeps one of its cores busy.

    python benchmarks/busy.py FILE.gguf

Rounds alternate: alone, and beside a process that computes without pause on the first of the cores. Shares are the
median over rounds of the speed beside it divided by the speed alone just before. A fair scheduler gives the engine half
of that core, so on two cores 75% is the most, and an engine whose threads wait for each other gets 50%.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from reporting import describe_machine

import bitwright as bw
from bitwright.bench.speed import seconds_to_decode, seconds_to_prefill
from bitwright.cli import output

PREFILL, DECODE = 512, 64  # tokens


@contextmanager
def busy_core() -> Iterator[subprocess.Popen[bytes]]:
    """A process that computes on the first usable core, stopped until it gets SIGCONT."""
    code = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\nwhile True: pass"
    other = subprocess.Popen([sys.executable, "-c", code])
    try:
        other.send_signal(signal.SIGSTOP)
        yield other
    finally:
        other.kill()
        other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    engine = bw.load(args.file, context=PREFILL + DECODE, threads=args.threads)
    session, ids = engine.session(), np.random.default_rng(0).integers(0, engine.config.vocabulary, PREFILL).tolist()

    def speeds() -> tuple[float, float]:
        """Tokens per second, of prefill and of decode."""
        return PREFILL / seconds_to_prefill(session, ids), DECODE / seconds_to_decode(session, ids[:8], ids[:DECODE])

    speeds()
    with busy_core() as other:
        rounds = []
        for _ in range(args.rounds):
            alone = speeds()
            other.send_signal(signal.SIGCONT)
            rounds.append((alone, speeds()))
            other.send_signal(signal.SIGSTOP)
    rows = []
    for n, what in enumerate((f"prefill of {PREFILL}", f"decode of {DECODE}")):
        alone, beside = (statistics.median(pair[k][n] for pair in rounds) for k in (0, 1))
        shares = sorted(pair[1][n] / pair[0][n] for pair in rounds)
        share = f"{statistics.median(shares):.0%} ({shares[0]:.0%} to {shares[-1]:.0%})"
        rows.append((what, f"{alone:.0f}", f"{beside:.0f}", share))
    output.print_table(["tokens per second", ">alone", ">one core busy", ">share kept"], rows)
    output.remark(", ".join(f"{key} {value}" for key, value in describe_machine(args.threads).items()))


if __name__ == "__main__":
    main()
