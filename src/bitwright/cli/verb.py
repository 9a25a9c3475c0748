"""How every verb begins: it never writes a file that it was given to read, and may ask which model is meant."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from bitwright.errors import UsageError

OUTPUTS = ("out", "kld", "card", "save_recipe", "tensor_types", "history")  # the parameters that name files to write

# Text of a type that needs no library to be read.
PLAIN = {str: "(?s:.*)", int: "-?[0-9]{1,9}", float: r"-?[0-9]{1,9}(\.[0-9]{1,9})?"}


@dataclass(frozen=True)
class Plain:
    """How a parameter is read: plain text and numbers within their bounds at once, all else in typer's own way, which
    also says what is wrong. That imports pydantic, which takes longer than a verb's own imports."""

    typers: Callable[[], Any]

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value, of the parameter's type."""
        kind, about = param.type_descriptor.annotation, param.type_descriptor.parameter_info
        many = param.multiple or param.nargs != 1
        if value is None and not many:
            return None
        if kind in PLAIN and about.parser is None and not many:
            if type(value) is kind:
                return value
            if re.fullmatch(PLAIN[kind], str(value)):
                read = kind(value)
                if (about.min is None or read >= about.min) and (about.max is None or read <= about.max):
                    return read
        return self.typers().coerce(value, param=param, ctx=ctx)


class ReadsPlainly:
    """A command whose parameters are read by Plain."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, with the option that shows help."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in found:
            if hasattr(parameter, "get_runtime_param") and hasattr(parameter, "type_descriptor"):  # as of typer 0.29
                vars(parameter).setdefault("get_runtime_param", partial(Plain, parameter.get_runtime_param))
        return found


class Verb(ReadsPlainly, TyperCommand):
    """A command that protects the files its other arguments name, and checks where it will write before any work."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        from bitwright.io import atomic, hub_choice, inputs

        inputs.add(0, "standard input")
        for name, value in ctx.params.items():
            for path in _paths(value) if name not in OUTPUTS else ():
                inputs.add(path)
        for name in OUTPUTS:
            for path in _paths(ctx.params.get(name)):
                atomic.check(path)
        hub_choice.ask = _ask if sys.stdin.isatty() and sys.stderr.isatty() else None
        try:
            return super().invoke(ctx)
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
