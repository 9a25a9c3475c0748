"""How every verb begins: it never writes a file that it was given to read, and may ask which model is meant."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bitwright.errors import UsageError

OUTPUTS = ("out", "kld", "card", "save_recipe", "tensor_types", "history")  # the parameters that name files to write


@contextlib.contextmanager
def protecting(parameters: Mapping[str, object]) -> Iterator[None]:
    """A verb's work: the files its other `parameters` name are protected, and where it will write is checked before."""
    from bitwright.io import atomic, hub_choice, inputs

    inputs.add(0, "standard input")
    for name, value in parameters.items():
        for path in _paths(value) if name not in OUTPUTS else ():
            inputs.add(path)
    for name in OUTPUTS:
        for path in _paths(parameters.get(name)):
            atomic.check(path)
    hub_choice.ask = _ask if sys.stdin.isatty() and sys.stderr.isatty() else None
    try:
        yield
    finally:
        hub_choice.ask = None


def _ask(place: str, files: Sequence[str]) -> str:
    """Ask on the terminal which file is meant: its number or its name."""
    names = {str(number): file for number, file in enumerate(files, 1)} | {file: file for file in files}
    lines = [f"{number:>3}  {file}" for number, file in enumerate(files, 1)]
    print(f"{place} holds {len(files)} models:", *lines, sep="\n", file=sys.stderr)
    while True:
        print(f"which one? (1 to {len(files)}) ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise UsageError(f"{place} holds {len(files)} models; name one: {', '.join(files)}")
        if (chosen := names.get(answer.strip())) is not None:
            return chosen


def _paths(value: object) -> Iterator[str]:
    """Whatever could name files in an argument's value."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item)
