"""Nothing that a file or a model says reaches the terminal as a control character."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import synthetic_model
from cli.support import start
from vocabularies import byte_level_metadata

from bitwright import formats
from bitwright.cli import exit_code, output
from bitwright.cli.answering import stream
from bitwright.escapes import escaped
from bitwright.io import gguf
from bitwright.model.replies import Text
from bitwright.model.tokenizer import Tokenizer

EVIL = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e\x08"
SHOWN = r"\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e\x08"
STYLES = re.compile(r"\x1b\[(?:0|1|2|31|32)m")


def write(path: Path, **metadata: object) -> Path:
    """A tiny model that is hostile wherever a file can hold a text."""
    tokens = byte_level_metadata([EVIL], ["a b"], bos_token_id=256)
    known = {"general.name": EVIL, f"key{EVIL}": EVIL, "many": [EVIL] * 5, "tokenizer.chat_template": f"{EVIL}\n{{{{ x"}
    keys = synthetic_model.metadata_of("llama", block_count=1) | tokens | known
    weights = synthetic_model.weights_of(keys) | {EVIL: np.ones((2, 32), np.float32)}
    tensors = [(name, value.shape, formats.get("f32"), value.tobytes) for name, value in weights.items()]
    gguf.write(path, keys | metadata, tensors)
    return path


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return write(tmp_path / f"m{EVIL.replace('/', '')}.gguf")


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "M"), ("inspect", "M", "--all"), ("inspect", "M", "--json"), ("inspect", "M", "--tensor", EVIL),
        ("inspect", "M", "--tensor", f"none{EVIL}"), ("run", "M", "hi"), ("plan", "M", "--device", "rtx-4090"),
        ("plan", "M", "--device", EVIL), ("quantize", "M", "--to", "q8_0", "--dry-run"), ("tokenize", "M", EVIL),
        ("quantize", "M", "--to", EVIL, "-o", "/tmp/none"), (EVIL,), ("inspect", EVIL), ("explain", EVIL),
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_verb_prints_them(bitwright, hostile: Path, arguments: tuple[str, ...]) -> None:
    found = bitwright(*(hostile if a == "M" else a for a in arguments))
    assert found.out + found.err and escaped(found.out + found.err) == found.out + found.err
    assert "a bug in bitwright" not in found.err


def test_they_are_shown_as_python_writes_them(bitwright, hostile: Path) -> None:
    found = bitwright("inspect", hostile, "--all").out
    assert f"key{SHOWN}" in found and f"  {SHOWN}  " in found
    assert bitwright("inspect", hostile, "--json").json["metadata"]["general.name"] == EVIL
    architecture = write(hostile.with_name("a.gguf"), **{"general.architecture": f"llama{EVIL}"})
    assert f"architecture llama{SHOWN} is not supported" in bitwright("run", architecture, "hi").err


def test_a_terminal_gets_bitwrights_colours_alone(hostile: Path) -> None:
    import pty

    parent, child = pty.openpty()
    colours = {"TERM": "xterm", "COLUMNS": "200"}
    process = start("inspect", hostile, "--all", stdin=child, stdout=child, stderr=child, env=colours)
    os.close(child)
    seen = b""
    while True:
        try:
            seen += os.read(parent, 65536)
        except OSError:  # Linux reports this when the other side is closed
            break
    os.close(parent)
    assert process.wait(30) == 0
    text = STYLES.sub("", seen.decode().replace("\r\n", "\n"))
    assert SHOWN in text and escaped(text) == text and "\x1b[1mmetadata\x1b[0m" in seen.decode()


def test_a_models_words_are_escaped_as_they_come_unless_raw(capsys) -> None:
    """CSI as one character (U+009B) is two bytes of UTF-8, here of two tokens."""
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(["Ġx"], []))
    said = "one\x9b\x1b[31m\r\n\ttwo é漢\u202e"

    def pieces():
        decoder = tokenizer.stream()
        yield from (Text(decoder.feed(id)) for id in tokenizer.encode(said))
        yield Text(decoder.finish())

    assert len(tokenizer.encode(said)) == len(said.encode())
    with output.shown():
        stream(pieces())
        assert capsys.readouterr().out == "one\\x9b\\x1b[31m\\r\n\ttwo é漢\\u202e\n"
        stream(pieces(), raw=True)
        assert capsys.readouterr().out == f"{said}\n"


def test_tables_remarks_and_progress(capsys, monkeypatch) -> None:
    clock = iter([0.0, 11.0, 11.0, 12.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
    output.print_table(["a", ">b"], [(EVIL, 1), ("two\nlines\tmore", 2)])
    output.remark(EVIL)
    with output.progress(EVIL) as report:
        report(1, 4, EVIL)
    found = capsys.readouterr()
    assert escaped(found.out + found.err) == found.out + found.err
    assert found.err.count(SHOWN) == 3 and "two\\nlines\\tmore" in found.out


def test_a_cell_keeps_its_style_and_loses_the_files(capsys, monkeypatch) -> None:
    monkeypatch.setattr(output, "colored", lambda stream=None: True)
    monkeypatch.setattr(output, "screen", lambda stream=None: None)
    with output.shown():
        output.print_table(["", ""], [(output.good("fits"), "\x1b[31mred")])
    assert capsys.readouterr().out == "\x1b[32mfits\x1b[0m  \\x1b[31mred\n"


def test_stdout_is_given_back() -> None:
    import sys

    before = sys.stdout
    assert exit_code(["--version"]) == 0 and sys.stdout is before
