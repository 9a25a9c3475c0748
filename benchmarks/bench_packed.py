"""What `--cache-packed` is worth: seconds to open a session, decode speed, and the process's own memory, in turns.

    python benchmarks/bench_packed.py model.q8_0.gguf --rounds 5
    python benchmarks/bench_packed.py model.q8_0.gguf --cached-only --group /sys/fs/cgroup/memory/small

--group: a control group, made beforehand with the limit of memory that the model is to run in; the pages of both files
are dropped before each turn, so that they count there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bitwright.cli import output
from bitwright.io.aliases import cache_folder

TURN = """
import json, re, sys, time
from bitwright.engine import Sampler, generate, load
engine = load(sys.argv[1], context=256, threads=int(sys.argv[2]), cache_packed=sys.argv[3] == "True")
started = time.perf_counter()
session = engine.session()
opened = time.perf_counter() - started
session.prefill([1, 2, 3])
started = time.perf_counter()
count = sum(1 for _ in generate(session, [4], Sampler(temperature=0), max_tokens=int(sys.argv[4])))
rate = count / (time.perf_counter() - started)
own = 1024 * int(re.findall(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[0])
print(json.dumps([opened, rate, own]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-n", "--tokens", type=int, default=32)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--cached-only", action="store_true", help="run only with --cache-packed")
    parser.add_argument("--group", type=Path, help="the folder of a control group to run in")
    args = parser.parse_args()
    ways = (True,) if args.cached_only else (False, True)
    turn(args, True, None)  # packs
    found: dict[bool, list[list[float]]] = {cached: [] for cached in ways}
    for _ in range(args.rounds):
        for cached in ways:
            found[cached].append(turn(args, cached, args.group))
    headers = ["", ">opened, s", ">decode, t/s", ">own memory"]
    rows = []
    for cached, turns in found.items():
        opened, rate, own = (statistics.median(column) for column in zip(*turns, strict=True))
        name = "from the file" if cached else "packed"
        rows.append([name, f"{opened:.3f}", f"{rate:.1f}", output.human_bytes(int(own))])
    output.print_table(headers, rows)


def turn(args: argparse.Namespace, cached: bool, group: Path | None) -> list[float]:
    for path in (args.model, *(cache_folder() / "packed").glob("*.bin")) if group else ():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, "-c", TURN, str(args.model), str(args.threads), str(cached), str(args.tokens)]
    join = None if group is None else lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    ran = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=join)
    return list(map(float, json.loads(ran.stdout)))


if __name__ == "__main__":
    main()
