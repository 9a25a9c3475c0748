"""What a process may be given: signals, closed streams, terminals of another encoding, pipes in the place of files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from cli.support import COMMAND

from bitwright import formats
from bitwright.io import gguf

WRITER = """
import sys, time
from bitwright import cli
from bitwright.cli import app
from bitwright.io.atomic import replacing

def work(*_, **__):
    with replacing(sys.argv[1]) as file:
        file.write(b"half")
        print("writing", flush=True)
        time.sleep(30)

app.app = work
cli.main(["formats"])
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file with a name and a value that not every terminal can show."""
    path = tmp_path / "m🙂.gguf"
    gguf.write(path, {"general.name": "größer 🙂"}, [("t", (32,), formats.get("f32"), lambda: bytes(128))])
    return path


def sent(number: signal.Signals, target: Path, *before: str) -> int:
    """The exit code of a writer of `target` that gets a signal, even if these tests ignore it (run by nohup); it may
    have left nothing else."""
    command = [*before, sys.executable, "-c", WRITER, target]
    heard = partial(signal.signal, number, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=heard) as process:
        assert process.stdout is not None and process.stdout.readline() == b"writing\n"
        process.send_signal(number)
        if before:
            process.send_signal(signal.SIGTERM)
    assert list(target.parent.iterdir()) == []
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_process_leaves_nothing(tmp_path, number) -> None:
    assert sent(number, tmp_path / "out") == 128 + number


def test_nohup_holds(tmp_path) -> None:
    assert sent(signal.SIGHUP, tmp_path / "out", "nohup") == 128 + signal.SIGTERM


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    line = line.replace("bitwright", " ".join(COMMAND))
    return subprocess.run(["bash", "-c", line], capture_output=True, env=os.environ | environment, timeout=600)


def test_closed_standard_input_is_empty(model) -> None:
    done = shell(f"bitwright run '{model}' <&-")
    assert done.returncode == 2
    assert done.stderr == b"bitwright: error: the prompt is empty: give one as an argument or on stdin\n"


@pytest.mark.parametrize(("line", "code"), [
    ("bitwright formats q4_0 >/dev/full", 1),
    ("bitwright formats q4_0 >/dev/full 2>&-", 1),
    ("bitwright formats q4_0 >/dev/full 2>/dev/full", 1),
    ("bitwright formats q4_0 >&- 2>/dev/full", 1),
    ("bitwright formats nothing 2>/dev/full", 2),
])  # fmt: skip
def test_a_full_disk_has_the_usual_exit_codes(line, code) -> None:
    assert shell(line, PYTHONUNBUFFERED="").returncode == code


def test_readers_that_left_have_the_usual_exit_code(model) -> None:
    line = f"set -o pipefail; bitwright inspect '{model}' 2> >(true) | true"  # a remark names columns left out
    assert shell(line, PYTHONUNBUFFERED="", COLUMNS="1").returncode in (0, 1)


def test_closed_standard_output_is_one_line() -> None:
    done = shell("bitwright formats >&-")
    assert done.returncode == 1
    assert done.stderr == b"bitwright: error: standard output is closed: send it to a file, or to /dev/null\n"


def test_closed_standard_error_is_silent(model) -> None:
    done = shell(f"bitwright inspect '{model}' --json 2>&-; bitwright inspect nothing.gguf 2>&-")
    assert done.stdout.count(b"\n") == 1 and done.stdout.startswith(b"{")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_what_a_terminal_cannot_show_is_replaced(model, encoding) -> None:
    done = shell(f"bitwright inspect '{model}' && bitwright formats", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stderr == b""
    name = done.stdout.decode(encoding)
    assert ("gr??er ?" if encoding == "ascii" else "größer ?") in name and "m?.gguf" in name


def test_json_is_whole_in_any_encoding(model) -> None:
    import json

    done = shell(f"bitwright inspect '{model}' --json", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["path"] == str(model)


@pytest.mark.parametrize("verb", [["inspect"], ["run", "hi"], ["quantize", "--to", "q8_0", "-o", "out.gguf"]])
def test_a_pipe_is_not_a_model(bitwright, tmp_path, monkeypatch, verb) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.gguf")
    outcome = bitwright(verb[0], "pipe.gguf", *verb[1:])
    assert outcome.code == 1
    assert outcome.err == "bitwright: error: cannot read pipe.gguf: expected a file, found a pipe\n"


def test_a_text_may_come_from_a_pipe(model, tmp_path) -> None:
    done = shell(f"bitwright tokenize '{model}' -f <(echo hello)")
    assert done.returncode == 1 and b"tokenizer" in done.stderr  # the text was read; the model has no vocabulary


def test_text_on_standard_input_that_is_not_utf8(model) -> None:
    done = shell(f"printf '\\xff' | bitwright run '{model}'")
    assert done.returncode == 2 and b"standard input, byte 0: expected UTF-8 text, got byte 0xff" in done.stderr
