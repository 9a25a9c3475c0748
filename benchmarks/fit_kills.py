"""Kills `bitwright fit` at random moments, runs it again until it ends, and compares the file with an undisturbed one.

    python benchmarks/fit_kills.py MODEL -f TEXT --held-out OTHER --bits-per-weight 6 --kills 50

Each file has a cache of its own, which it shares only with the killed runs before it. A kill is SIGKILL to the whole
process group. Its moment is random within a stage that is drawn at random, so that short ones are hit too; what a stage
takes is known from the undisturbed run. The search is limited by chunks scored, not by time. Prints for each file how
many kills it took and in which stages they came, and at the end whether all files are equal, and what killed runs left
in the cache or beside the file that the undisturbed run did not. Exits with 1 if a file differs or anything is left.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START, LABEL, END = "starting", "writing the label", "ending"  # stages that the command does not name
NAME = "fitted.gguf"


def child(pipe: int, words: list[str]) -> None:
    """Run bitwright with `words`, and write the name of each stage into a pipe when it begins."""

    def entered(stage: str) -> None:
        os.write(pipe, f"{stage}\n".encode())

    entered(START)
    from bitwright.cli import main, output
    from bitwright.io import label

    progress, write = output.progress, label.write

    def staged(name: str) -> AbstractContextManager[Any]:
        entered(name)
        return progress(name)

    def written(*arguments: Any) -> int:
        entered(LABEL)
        size = write(*arguments)
        entered(END)
        return size

    output.progress, label.write = staged, written
    sys.argv = ["bitwright", *words]
    main()


@dataclass
class Run:
    """A run of the command that ended. stages: each with its seconds; the last is the one that it ended in. killed:
    whether by us."""

    stages: list[tuple[str, float]]
    killed: bool


@dataclass
class Trial:
    """A file, the names of all files beside it and in its cache, and the stages in which runs were killed on the way to
    it."""

    sha256: str
    names: set[str]
    kills: list[str] = field(default_factory=list)


def run(command: list[str], cache: Path, aim: tuple[str, float] | None = None) -> Run:
    """Run the command to its end, or until `aim`: so many seconds after a stage begins. SystemExit if it fails."""
    read, write = os.pipe()
    words = [sys.executable, __file__, "--child", str(write), *command]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, pass_fds=[write], start_new_session=True, stdout=said, stderr=said,
                                   env=os.environ | {"BITWRIGHT_CACHE": str(cache)})  # fmt: skip
        os.close(write)
        entered = _watch(process, read, aim)
        code = process.wait()
        os.close(read)
        if code not in (0, -signal.SIGKILL):
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} failed: {said.read().decode()[-2000:]}")
    ends = [*(moment for _, moment in entered[1:]), time.monotonic()]
    return Run([(stage, end - moment) for (stage, moment), end in zip(entered, ends, strict=True)], code != 0)


def _watch(process: subprocess.Popen[bytes], pipe: int, aim: tuple[str, float] | None) -> list[tuple[str, float]]:
    """The stages that a process enters, each with the moment; kills its group at `aim`. Returns when it has ended."""
    entered: list[tuple[str, float]] = []
    rest, moment = b"", None
    while True:
        left = None if moment is None else max(0.0, moment - time.monotonic())
        if moment is not None and not select.select([pipe], [], [], left)[0]:
            os.killpg(process.pid, signal.SIGKILL)
            moment = None
        if not (said := os.read(pipe, 4096)):
            return entered
        *lines, rest = (rest + said).split(b"\n")
        for stage in (line.decode() for line in lines):
            entered.append((stage, time.monotonic()))
            if aim is not None and moment is None and stage == aim[0]:
                moment, aim = time.monotonic() + aim[1], None


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trial(command: list[str], folder: Path, stages: dict[str, float], most: int, order: random.Random) -> Trial:
    """Make one file in `folder`, in runs of which the first are killed, at most `most`, each in the stage of the
    last or a later one: what earlier stages did is kept. stages: with the seconds that they take."""
    kills: list[str] = []
    every = list(stages)
    for stage in sorted(order.choices(every, k=most), key=every.index):
        done = run([*command, "-o", str(folder / NAME)], folder / "cache", (stage, order.random() * stages[stage]))
        if done.killed:
            kills.append(done.stages[-1][0])
    if not (folder / NAME).exists() or kills:
        run([*command, "-o", str(folder / NAME)], folder / "cache")
    return Trial(digest(folder / NAME), names(folder), kills)


def names(folder: Path) -> set[str]:
    """All files in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def whole(command: list[str], folder: Path) -> tuple[Trial, dict[str, float]]:
    """The file of a run that nobody disturbs, and how long each stage took."""
    folder.mkdir()
    done = run([*command, "-o", str(folder / NAME)], folder / "cache")
    stages: dict[str, float] = {}
    for stage, seconds in done.stages:
        stages[stage] = stages.get(stage, 0.0) + seconds
    return Trial(digest(folder / NAME), names(folder)), stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("-f", "--file", type=Path, required=True, help="text to search on")
    parser.add_argument("--held-out", type=Path, required=True, help="text of the final measurement")
    parser.add_argument("--bits-per-weight", type=float, default=6.0)
    parser.add_argument("--evaluations", type=int, default=100, help="chunks scored, which end the search")
    parser.add_argument("-t", "--threads", type=int, default=1)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--each", type=int, default=6, help="kills on the way to one file, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", help="kill in these stages only, separated by commas")
    args = parser.parse_args()
    command = ["fit", str(args.model), "--bits-per-weight", str(args.bits_per_weight), "-f", str(args.file),
               "--held-out", str(args.held_out), "--evaluations", str(args.evaluations), "--minutes", "600",
               "-t", str(args.threads)]  # fmt: skip
    order = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        first, stages = whole(command, Path(name) / "whole")
        print(f"undisturbed: {sum(stages.values()):.0f} s, {first.sha256[:16]}, "
              + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items()), flush=True)  # fmt: skip
        if args.stages:
            stages = {stage: stages[stage] for stage in args.stages.split(",")}
        trials: list[Trial] = []
        while (done := sum(len(t.kills) for t in trials)) < args.kills:
            folder = Path(name) / str(len(trials))
            folder.mkdir()
            trials.append(t := trial(command, folder, stages, min(args.each, args.kills - done), order))
            equal = "equal" if t.sha256 == first.sha256 else f"DIFFERENT, {t.sha256[:16]}"
            print(f"file {len(trials)}: {len(t.kills)} kills ({', '.join(t.kills) or 'none'}), {equal}", flush=True)
    hit = Counter(stage for t in trials for stage in t.kills)
    equal = sum(t.sha256 == first.sha256 for t in trials)
    left = sorted(set().union(*(t.names for t in trials)) - first.names)
    print(f"{sum(hit.values())} kills: " + ", ".join(f"{count} in {stage}" for stage, count in hit.most_common()))
    print(f"{equal} of {len(trials)} files equal the undisturbed one; left behind: {', '.join(left) or 'nothing'}")
    if equal < len(trials) or left:
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), sys.argv[3:])
    else:
        main()
