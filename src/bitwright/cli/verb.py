"""The typer commands of all verbs, whose parameters are read without pydantic where that makes no difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from typer.core import TyperCommand

from bitwright.cli import process
from bitwright.cli.begin import protecting
from bitwright.cli.plain import PLAIN, Kind


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
            if (read := Kind(kind, about.min, about.max).read(str(value))) is not None:
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
        process.started()
        with protecting(ctx.params):
            return super().invoke(ctx)
