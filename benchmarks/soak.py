"""Runs mixed prefill and decode for a long time while watching resident memory.

    python benchmarks/soak.py MODEL --minutes 30

Prompts of random lengths go to random sequences, which then continue together, rewind, or start again, so that every
path of a step is taken in every order. Prints resident memory each minute. Exits with 1 if the second half's peak is
more than 1% above the first half's, or if a logit is not finite.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

import bitwright as bw

SEQUENCES = 4


def resident() -> int:
    """Resident bytes of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def turn(session: bw.Session, random: np.random.Generator) -> None:
    """Feeds a prompt to one sequence, then decodes a few tokens for all of them together."""
    vocabulary, room = session.model.config.vocabulary, session.context - 20
    slot = int(random.integers(SEQUENCES))
    session.reset(int(random.integers(session.positions[slot] + 1)) if random.random() < 0.5 else 0, slot)
    count = int(random.integers(1, max(2, room - session.positions[slot])))
    session.extend(random.integers(vocabulary, size=count), [count - 1], slot)
    for other in range(SEQUENCES):
        if session.positions[other] >= room:
            session.reset(0, other)
    for _ in range(int(random.integers(16))):
        for other in range(SEQUENCES):
            logits = session.step(int(random.integers(vocabulary)), other)
            if not np.isfinite(logits).all():
                raise SystemExit(f"sequence {other}, position {session.positions[other]}: a logit is not finite")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("-c", "--context", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    session, random = bw.load(args.model, context=args.context).session(SEQUENCES), np.random.default_rng(args.seed)
    for slot in range(SEQUENCES):  # touch the whole cache before anything is compared
        session.extend(random.integers(session.model.config.vocabulary, size=args.context), [0], slot)
    seen: list[tuple[float, int]] = []
    begin = last = time.monotonic()
    turns = 0
    while (now := time.monotonic()) < begin + 60 * args.minutes:
        turn(session, random)
        turns += 1
        seen.append((now - begin, resident()))
        if now - last >= 60:
            last = now
            print(f"{(now - begin) / 60:5.1f} min, {turns} turns, {seen[-1][1] / 2**20:.1f} MiB resident", flush=True)
    half = 30 * args.minutes
    first, second = (max((b for t, b in seen if (t < half) == early), default=0) for early in (True, False))
    if not first or not second:
        raise SystemExit(f"{turns} turns are too few to compare two halves: increase --minutes")
    print(f"{turns} turns; peak of the first half {first / 2**20:.1f} MiB, of the second {second / 2**20:.1f} MiB")
    if second > 1.01 * first:
        raise SystemExit("memory grew")


if __name__ == "__main__":
    main()
