"""Arguments that are read without pydantic, and without typer."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from bitwright.cli import answering, plain
from bitwright.cli import app as application


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["run", "absent.gguf", "Hello", "-n", "8", "--temp", "0"], []),
        (["run", "absent.gguf", "Hello", "-n8"], ["bitwright.cli.run", "typer"]),
        (["tokenize", "absent.gguf", "-p", "Hello"], ["bitwright.cli.tokenize", "typer"]),
    ],
)
def test_a_verb_imports_no_other_and_not_pydantic(arguments: list[str], imported: list[str]) -> None:
    homes = {f"bitwright.cli.{home.split('.')[0]}" for home in application.HOMES.values()}
    code = (
        f"import sys; from bitwright.cli import exit_code; exit_code({arguments});"
        f"sys.exit(str(sorted({homes | {'typer', 'pydantic'}} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == str(imported)


def own_run() -> Any:
    """The verb, in a copy: reading a line outside of the program would leave its help without -h."""
    return copy.copy(application.command("run"))


def test_run_is_read_without_typer_as_with_it() -> None:
    """Every option, and lines that only typer can read."""
    run = own_run()
    plain_lines = [
        ["m.gguf"],
        ["m.gguf", "a b", "--raw", "--plain", "--json", "--cache-packed"],
        ["--kv", "q8_0", "m.gguf", "-p", "x", "--system", "y"],
        ["m", "-n", "5", "-t", "2", "--temp", "0.5", "--top-k", "0", "--top-p", "1", "--min-p", "0", "--seed", "7"],
        ["m", "--prompt", "", "--predict", "1", "--threads", "3"],
    ]
    for line in plain_lines:
        asked = plain.asked(["run", *line])
        assert asked is not None and answering.Asked(**asked) == answering.Asked(
            **run.make_context("run", [*line]).params
        )
    used = {word for line in plain_lines for word in line if word.startswith("-")}
    assert used == {*plain.OPTIONS, *plain.FLAGS}
    declared = {option for p in run.params for option in p.opts if option.startswith("-")}
    assert declared - used == {"-c", "--ctx", "--ctx-size"}
    others = "", "m a b", "-p x", "m -n", "m -n -5", "m -n 0", "m -n 5 -n 6", "m -n5", "m --temp=0", "m --top-p 1.5"
    for text in (*others, "m --json --json", "m -c 512", "m --help", "-- m", "m -", "m --kv --raw"):
        assert plain.asked(["run", *text.split()]) is None, text
    assert plain.asked(["bench", "m"]) is None and plain.asked([]) is None


TEXTS = ("5", "-5", "05", "0", "-0", "1.5", "0.05", "1e3", "1_000", "٣", " 7", "", "nan", "x\ny", "9" * 12)


def test_plain_values_are_read_as_typer_reads_them() -> None:
    """Every option of `run`, with its bounds."""
    read, run = 0, own_run()
    for parameter in run.get_params(run.make_context("run", ["m.gguf"])):
        own = parameter.get_runtime_param()
        for text in (*TEXTS, None):
            found = []
            for way in (own, own.typers()):
                try:
                    found.append(way.coerce(text, parameter, None))
                except Exception as error:
                    found.append(str(error))
            assert found[0] == found[1] and type(found[0]) is type(found[1]), (parameter.name, text)
            read += text is not None and not isinstance(found[0], str)
    assert read > 40
