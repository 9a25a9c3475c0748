"""Attacks the command line with hostile inputs by the thousand and prints what became of them.

    python benchmarks/attack.py --count 1000 --seed 1

`lines` gives an option or argument of any verb an odd value, `files` damages a file that a verb reads (chat templates
among them), `outputs` writes over an input by one of its names, `streams` runs a verb whose streams are closed, full,
left by their reader or of another encoding (a tenth of `--count`), `kills` ends a verb at a random moment and runs it
again (a twentieth). A verb may succeed, or refuse in one line with exit code 1 or 2. A finding is anything else: a
traceback, a signal, a control character on the terminal, ten minutes without an answer, success when the result
was not printed, an input that changed, or a temporary file left behind. Inputs are always the same for a seed. Exits
with 1 if there are findings.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from attack_inputs import (
    COMMAND,
    KEPT,
    LINES,
    ODD,
    READERS,
    SETTINGS,
    SLOW,
    STDERR,
    STDIN,
    STDOUT,
    TEXTS,
    WRITERS,
    damaged,
    make,
    templated,
)

SECONDS = 600  # without an answer; a machine may be busy
Case = tuple[list[str], dict[str, bytes]]  # arguments, and what replaces files meanwhile


def lines(rng: random.Random, inputs: dict[str, bytes]) -> Iterator[Case]:
    """Odd values for every option and argument of every verb."""
    import typer

    from bitwright.cli.app import app

    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = [(verb, p) for verb in LINES for p in verbs[verb].params if not SLOW & set(p.opts)]
    while True:
        verb, option = rng.choice(options)
        argv = [verb, *LINES[verb].split()]
        if option.param_type_name == "argument":
            argv[1:2] = [rng.choice(ODD)]
        else:
            value = [] if option.is_flag else [rng.choice(ODD)]
            argv += [rng.choice(option.opts), *value] * rng.choice([1, 1, 1, 2])
        if not {"s.gguf", "m.gguf", "t.txt"} & set(argv[-1:]):  # which an output option may well replace
            yield argv, {}


def files(rng: random.Random, inputs: dict[str, bytes]) -> Iterator[Case]:
    """A damaged file for each verb that reads it."""
    while True:
        name = rng.choice(list(READERS))
        if name == "template":
            made = templated(damaged(TEXTS[name].encode(), rng, True).decode("utf-8", "replace"))
        else:
            made = damaged(inputs[name], rng, name in TEXTS)
        yield rng.choice(READERS[name]).split(), {name: made}


def outputs(rng: random.Random, inputs: dict[str, bytes]) -> Iterator[Case]:
    """An output that is an input, by one of its names."""
    while True:
        pattern, read = rng.choice(WRITERS)
        victim, way = rng.choice(read), rng.choice(["", "./", "folder/../", f"{Path.cwd()}/", "symbolic", "hard"])
        alias = Path(f"alias{rng.choice([Path(victim).suffix, '.html', '.json', '.gguf'])}")
        if way == "symbolic":
            alias.symlink_to(rng.choice(["", "/proc/self/cwd/"]) + victim)
        elif way == "hard":
            os.link(victim, alias)
        yield pattern.format(*read, alias if os.path.lexists(alias) else way + victim).split(), {}


class Worker:
    """A process that runs verbs one after another, replaced when it dies or hangs."""

    process: subprocess.Popen[str] | None = None

    def run(self, argv: list[str]) -> tuple[int, list[str]]:
        """The exit code of a run, and what was wrong with it."""
        if self.process is None:
            self.process = subprocess.Popen([sys.executable, __file__, "--work"], stdin=-1, stdout=-1, text=True)
        assert self.process.stdin and self.process.stdout
        print(json.dumps(argv), file=self.process.stdin, flush=True)
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            self.process.kill()
        if line := self.process.stdout.readline():
            code, said = json.loads(line)
            return code, wrong(code, said)
        code, self.process = self.process.wait(), None
        return code, ["no answer" if code == -signal.SIGKILL else f"died with {code}"]


def wrong(code: int, said: str) -> list[str]:
    """What a user should not have seen."""
    words = ("Traceback", "a bug in bitwright", "panicked", "terminate called", "Exception ignored")
    found = [word for word in words if word in said]
    found += ["a control character"] if re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", said) else []
    found += [] if code in (0, 1, 2) else [f"exit code {code}"]
    return [f"{what}: {said[-300:]!r}" for what in found]


def work() -> None:
    """Run the arguments that come in, a line each; answer with the exit code and what was printed."""
    from bitwright.cli import exit_code

    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with tempfile.TemporaryFile() as printed:
        for number in (1, 2):
            os.dup2(printed.fileno(), number)
        for request in requests:
            code = exit_code(json.loads(request))
            sys.stdout.flush()
            size = printed.seek(0, os.SEEK_END)
            said = os.pread(1, size, 0).decode("utf-8", "replace")
            printed.truncate(0)
            printed.seek(0)
            print(json.dumps([code, said]), file=answers, flush=True)


def kill(argv: list[str], rng: random.Random) -> tuple[int, list[str]]:
    """End a run at a random moment, then run it again: its exit code, and what was wrong."""
    process = subprocess.Popen([*COMMAND, *argv], stdout=-1, stderr=-1, text=True)
    time.sleep(rng.uniform(0.2, 4))
    process.send_signal(sent := rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
    said = "".join(process.communicate(timeout=SECONDS))
    ended = process.returncode in (0, -sent, 128 + sent) and "Traceback" not in said
    ended |= sent is signal.SIGINT and "Traceback" in said and "bitwright" not in said  # Python itself was starting
    found = [] if ended else [f"{sent.name}: code {process.returncode}: {said[-300:]!r}"]
    found += ["left a .part"] if sent != signal.SIGKILL and list(Path().rglob(".bitwright-*.part")) else []
    again = subprocess.run([*COMMAND, *argv], capture_output=True, text=True, check=False)
    found += [] if again.returncode == 0 else [f"the second run: {again.stderr[-300:]!r}"]
    return process.returncode, found


def odd_streams(argv: list[str], rng: random.Random) -> tuple[int, list[str]]:
    """The exit code of a run with odd streams, and what was wrong with it."""
    out, streams = rng.choice(STDOUT), f"{rng.choice(STDIN)} {rng.choice(STDERR)}"
    line = f'set -o pipefail; {rng.choice(SETTINGS)} "$0" "$@" {streams} {out}'
    argv = [*argv, *rng.choice([[], ["--json"]])] if argv[0] not in ("rm", "pull") else argv
    try:
        done = subprocess.run(["bash", "-c", line, *COMMAND, *argv], capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return 0, [f"no answer: {line}"]
    found = wrong(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))
    found += ["success without a result"] if done.returncode == 0 and "full" in out else []
    return done.returncode, [f"{what}: {line}" for what in found]


def check(inputs: dict[str, bytes], made: dict[str, bytes]) -> list[str]:
    """What became of the inputs, which are put right; whatever is new is removed."""
    found = []
    for name, content in inputs.items():
        now = Path(name).read_bytes() if Path(name).is_file() else None
        found += [f"changed {name}"] if now != made.get(name, content) else []
        if now != content:
            Path(name).write_bytes(content)
    for path in Path().iterdir():
        found += ["left a .part"] if path.suffix == ".part" else []
        if path.name not in inputs and path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return found


def attack(kind: str, count: int, seed: int, inputs: dict[str, bytes]) -> int:
    """Run one kind of attack and print a row of figures; the number of findings."""
    rng, worker, codes = random.Random(f"{kind} {seed}"), Worker(), Counter[int]()
    findings, started = 0, time.monotonic()
    verbs = ("calibrate", "quantize", "eval", "compare", "label") if kind == "kills" else tuple(LINES)
    plain = [(f"{verb} {LINES[verb]}".split(), {}) for verb in verbs]
    each = {"kills": kill, "streams": odd_streams}
    made = {"lines": lines, "files": files, "outputs": outputs}
    cases: Iterator[Case] = made[kind](rng, inputs) if kind in made else iter(lambda: rng.choice(plain), None)
    for number, (argv, replaced) in zip(range(count), cases, strict=False):
        for name, content in replaced.items():
            Path(name).write_bytes(content)
        code, found = each.get(kind, lambda argv, _: worker.run(argv))(argv, rng)
        codes[code] += 1
        for what in found + check(inputs, replaced):
            findings += 1
            print(f"{kind} {number}: {' '.join(argv)!r}: {what}", flush=True)
    if worker.process:
        worker.process.kill()
    print(f"{kind:8}{count:6} inputs, exit codes {dict(sorted(codes.items()))}, {findings} findings, "
          f"{time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
    return findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="inputs of each kind")
    parser.add_argument("--kinds", default="lines,files,outputs,streams,kills", help="which kinds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work()
        return
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        os.chdir(folder)
        places = dict.fromkeys(("BITWRIGHT_CACHE", "BITWRIGHT_CONFIG", "HF_HOME", "HOME"), f"{folder}/cache")
        os.environ |= places | {"HF_HUB_OFFLINE": "1"}
        inputs = make()
        share = {"streams": 10, "kills": 20}  # one in so many: a process for each
        counts = {kind: max(1, args.count // share.get(kind, 1)) for kind in args.kinds.split(",")}
        found = sum(attack(kind, count, args.seed, inputs) for kind, count in counts.items())
        os.chdir("/")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
