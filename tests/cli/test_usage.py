"""Rules for every verb: exit codes, one-line errors, pipes, versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli.support import COMMAND, finish, start

from bitwright import __version__
from bitwright.cli import app as application
from bitwright.errors import FileFormatError
from bitwright.io import inputs

VERBS = ["inspect", "quantize", "run", "eval", "compare", "label", "audit", "tasks", "bench", "tokenize", "formats"]
VERBS += ["plan", "hardware", "explain"]


def assert_one_line(err: str) -> None:
    assert err.startswith("bitwright: error: ")
    assert err.count("\n") == 1 and err.endswith("\n")


def test_no_arguments_show_help(bitwright) -> None:
    outcome = bitwright()
    assert outcome.code == 0 and "Make smaller:" in outcome.out
    assert all(verb in outcome.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(bitwright, verb) -> None:
    outcome = bitwright(verb, "--help")
    assert outcome.code == 0
    assert f"Example: bitwright {verb}" in outcome.out


def test_version(bitwright) -> None:
    assert bitwright("--version").out == f"bitwright {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["inspect"],
        ["inspect", "x.gguf", "--colour"],
        ["run", "x.gguf", "hello", "--temp", "hot"],
        ["formats", "q9_z"],
        ["quantize", "x.gguf", "--to", "q4_0"],
        ["tokenize", "x.gguf"],
        ["tokenize", "x.gguf", "text", "-f", __file__],
        ["bench", "x.gguf", "--rounds", "0"],
        *([verb, "x.gguf", "-c", "32x"] for verb in ("run", "eval", "calibrate")),
        ["run", "x.gguf", "hello", "-t", "0"],
    ],
    ids=lambda a: " ".join(a[:3]).replace(__file__, "FILE"),
)
def test_wrong_use_is_one_line(bitwright, arguments) -> None:
    outcome = bitwright(*arguments)
    assert_one_line(outcome.err)
    assert outcome.out == ""
    assert outcome.code == 2


@pytest.mark.parametrize(
    "verb",
    [
        *(["inspect"], ["run", "hi"], ["bench"], ["tokenize", "hi"], ["quantize", "--to", "q4_0", "--dry-run"]),
        ["fit", "--size", "2MB", "-f", __file__, "--held-out", __file__, "-o", "out.gguf"],
    ],
)
def test_a_missing_file_is_one_line(bitwright, tmp_path, verb) -> None:
    outcome = bitwright(verb[0], tmp_path / "missing.gguf", *verb[1:])
    assert_one_line(outcome.err)
    assert outcome.code in (1, 2)
    assert "missing.gguf" in outcome.err


def test_a_malformed_file_says_where(bitwright, data) -> None:
    outcome = bitwright("inspect", data / "gguf-cases/header_trunc_23.gguf")
    assert_one_line(outcome.err)
    assert outcome.code == 1
    assert "header_trunc_23.gguf" in outcome.err and "byte" in outcome.err and "expected" in outcome.err


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "verb",
    [
        *(["inspect", "--all"], ["inspect", "--json"], ["inspect", "--tensor", "a.weight"], ["tokenize", "Hello"]),
        *(["run", "Hello"], ["bench"], ["eval", "-f", __file__], ["quantize", "--to", "q4_0", "-o", "out.gguf"]),
        ["fit", "--size", "2MB", "-f", __file__, "--held-out", __file__, "-o", "out.gguf"],
    ],
    ids=" ".join,
)
def test_every_file_gives_a_result_or_one_line(bitwright, data, tmp_path, monkeypatch, verb) -> None:
    """Whatever a file holds, a verb does its work or explains in one line why not, and leaves no partial file."""
    monkeypatch.chdir(tmp_path)
    done = 0
    for case in sorted((data / "gguf-cases").glob("*.gguf")):
        outcome = bitwright(verb[0], case, *verb[1:])
        done += outcome.code == 0
        if outcome.code:
            assert_one_line(outcome.err)
            assert outcome.out == "" and outcome.code in (1, 2) and "a bug" not in outcome.err, case
        assert not [path for path in tmp_path.iterdir() if path.name != "out.gguf" or outcome.code]
        (tmp_path / "out.gguf").unlink(missing_ok=True)
    assert done if verb[0] in ("inspect", "quantize") else not done  # none of the files is a whole model


def test_a_bug_is_one_line_and_says_how_to_see_more(bitwright, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.delenv("BITWRIGHT_DEBUG", raising=False)
    monkeypatch.setattr(application, "app", broken)
    outcome = bitwright("formats")
    assert outcome.code == 1
    assert_one_line(outcome.err)
    assert "ZeroDivisionError: division by zero" in outcome.err and "BITWRIGHT_DEBUG=1" in outcome.err
    monkeypatch.setenv("BITWRIGHT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        bitwright("formats")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("std::bad_alloc"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (MemoryError("Unable to allocate 1.0 GiB"), "not enough memory: Unable to allocate 1.0 GiB"),
        (RuntimeError("can't start new thread"), "the system starts no more threads: "
         "too little memory, or too many processes"),
    ],
)  # fmt: skip
def test_scarcity_is_no_bug(bitwright, monkeypatch, error, line) -> None:
    def scarce(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(application, "app", scarce)
    outcome = bitwright("formats")
    assert (outcome.code, outcome.err) == (1, f"bitwright: error: {line}\n")


def test_errors_have_their_exit_codes(bitwright, monkeypatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise FileFormatError(Path("a.gguf"), 8, "a version", "nothing")

    monkeypatch.setattr(application, "app", failing)
    outcome = bitwright("formats")
    assert (outcome.code, outcome.err) == (1, "bitwright: error: a.gguf, byte 8: expected a version, got nothing\n")


def test_a_closed_pipe_is_silent() -> None:
    # `true` reads nothing, so that writing the table fails
    command = f"{' '.join(COMMAND)} formats | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_results_go_to_stdout_without_color_in_a_pipe() -> None:
    outcome = finish(start("formats"))
    assert outcome.code == 0 and outcome.err == "" and "\x1b" not in outcome.out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bitwright.cli import exit_code; exit_code(['--help']);"
        "sys.exit(str(sorted({'numpy', 'gguf', 'tokenizers', 'huggingface_hub', 'jinja2'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bitwright q", ["quantize"]),
        ("bitwright run smol", ["smollm2-135m"]),
        ("bitwright run ./smol", []),  # the shell then suggests files
        ("bitwright quantize m.gguf --to q4_k", ["q4_k_s", "q4_k_m"]),
        ("bitwright quantize m.gguf --to iq4", ["iq4_nl", "iq4_xs"]),
        ("bitwright formats q8_", ["q8_0", "q8_k"]),
        ("bitwright eval m.gguf --ch", ["--chunks"]),
        ("bitwright plan --device rtx-309", ["rtx-3090-24gb"]),
        ("bitwright plan --device 506", ["5060ti-16gb"]),
        ("bitwright plan --shape phi-4", ["phi-4", "phi-4-mini"]),
    ],
)
def test_shell_completion(line, offered) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    assert finish(start(env={"_BITWRIGHT_COMPLETE": "complete_bash", **words})).out.split() == offered


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no file without an end")
@pytest.mark.parametrize(
    "line",
    ["tokenize m.gguf -f", "calibrate m.gguf -o s.gguf -f", "eval m.gguf --reference m.gguf --calibration",
     "tasks m.gguf --tasks"],
)  # fmt: skip
def test_a_text_without_an_end_is_refused(bitwright, small, tmp_path, monkeypatch, line) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.gguf").symlink_to(small)
    monkeypatch.setattr(inputs, "LARGEST_TEXT", 1 << 20)
    outcome = bitwright(*line.split(), "/dev/zero")
    assert outcome.code == 2 and "/dev/zero: expected a text of at most 1 MiB, found more" in outcome.err
