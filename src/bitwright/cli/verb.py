"""How every verb begins: a file that it was given to read is never one that it writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

OUTPUTS = ("out", "kld")  # the parameters that name files to write


class Verb(TyperCommand):
    """A command that protects the files its other arguments name, and checks where it will write before any work."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        from bitwright.io import atomic, inputs

        inputs.add(0, "standard input")
        for name, value in ctx.params.items():
            for path in _paths(value) if name not in OUTPUTS else ():
                inputs.add(path)
        for name in OUTPUTS:
            for path in _paths(ctx.params.get(name)):
                atomic.check(path)
        return super().invoke(ctx)


def _paths(value: object) -> Iterator[str]:
    """Whatever could name files in an argument's value."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item)
