"""A Jinja environment for untrusted templates: those inside model files.

Jinja's sandbox keeps a template away from Python's internals, but not from running for ever or using all memory. So
every step of work is charged to a budget (`chat_budget`). The compiled template does the charging itself, because the
syntax tree is rewritten before compilation: loops, comparisons, literals and `~` pass through filters of this module.

Not covered: a template may spend the whole budget, three seconds of one core and a few hundred megabytes, on every
render; and it writes the prompt, so a hostile template still decides what the model is asked.
"""

from __future__ import annotations

import datetime
import functools
import json
import re
from collections.abc import Callable
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from bitwright.model.chat_budget import joined, replaced, spend, step, turns, weigh

LARGEST_NUMBER = 10_000  # an argument above this (a width, a count, a precision) is refused
LARGEST_BITS = 4096  # of an integer
FILTERS = (
    "abs attr capitalize count d default dictsort e escape first float forceescape format groupby indent int items "
    "join last length list lower map max min reject rejectattr replace reverse round safe select selectattr sort "
    "string striptags sum title trim truncate unique upper urlencode wordcount"
).split()
_WIDTH = re.compile(r"\d{5,}|%[^%a-zA-Z]*\*|\{[^{}]*\{")  # a padding of 10000 or more, or one taken from an argument


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Hugging Face's `tojson`: plain JSON, nothing escaped for HTML, non-ASCII characters as they are."""
    check_arguments(indent)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def check_arguments(*arguments: object) -> None:
    """Raise SecurityError for a number that would make a call run long."""
    if any(isinstance(argument, int) and abs(argument) > LARGEST_NUMBER for argument in arguments):
        raise SecurityError(f"a number above {LARGEST_NUMBER} as an argument")


def check_format(text: object) -> None:
    """Raise SecurityError for a format string that could give a huge result."""
    if isinstance(text, str) and _WIDTH.search(text):
        raise SecurityError("a format with a very large or a computed width")


def raise_exception(message: object) -> None:
    """What templates call to refuse a conversation: raises TemplateError."""
    raise TemplateError(str(message))


def strftime_now(format: str) -> str:
    """The current local time, formatted."""
    check_format(format)
    return datetime.datetime.now().strftime(format)


def _metered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose result is charged; its context or environment argument stays the first."""

    @functools.wraps(function)
    def filter(*arguments: Any, **named: Any) -> Any:
        if function.__name__ != "do_default":
            check_arguments(*arguments[1:], *named.values())
        if function.__name__ == "do_format":
            check_format(arguments[0])
        if function.__name__ == "sync_do_sum" and not isinstance(named.get("start", 0), (int, float)):
            raise SecurityError("sum of anything but numbers")
        return weigh(function(*arguments, **named))

    return filter


class _Namespace(Namespace):
    __repr__ = object.__repr__  # the inherited one prints its contents, at any depth


class _Generation(Extension):
    """`{% generation %}`, which marks the assistant's words for training; here only its content matters."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Metering(NodeTransformer):
    """Puts a charging filter around everything that could make a template's work grow."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise SecurityError("a recursive loop")
        self.generic_visit(node)
        node.iter = _through("_turns", node.iter)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _through("_step", node.expr)
        return node

    def visit_List(self, node: nodes.List | nodes.Dict | nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _through("_weigh", node)

    visit_Dict = visit_List

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self.visit_List(node) if node.ctx == "load" else node  # other tuples are targets of assignment

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _through("_joined", nodes.List(node.nodes, lineno=node.lineno))

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        return _through("_step", nodes.Const(node.data, lineno=node.lineno))  # so that `finalize` counts it


def _through(name: str, node: Any) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


@pass_context  # also keeps Jinja from evaluating constants while it compiles
def _finalize(context: Any, value: Any) -> str:
    text = str(value)
    spend(len(text))
    return text


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment Hugging Face renders chat templates in, with a budget."""

    intercepted_binops = frozenset(("*", "**", "+", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            optimized=False,
            finalize=_finalize,
        )
        self.filters = {name: _metered(self.filters[name]) for name in FILTERS} | {
            "join": lambda values, d="", attribute=None: joined(values, str(d)),
            "replace": replaced,
            "tojson": to_json,
            "_turns": turns,
            "_step": step,
            "_weigh": weigh,
            "_joined": joined,
        }
        self.globals = {name: self.globals[name] for name in ("range", "dict", "cycler", "joiner")}
        self.globals |= {"namespace": _Namespace, "raise_exception": raise_exception, "strftime_now": strftime_now}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Metering().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """Refuse an attribute that templates may not read: raises SecurityError."""
        raise SecurityError(f"access to {attribute!r} of a {type(obj).__name__}")

    def call(self, context: Any, function: Any, *arguments: Any, **named: Any) -> Any:
        """Every call in a template: results of methods are charged, and those that could be huge are made here."""
        method = getattr(function, "__wrapped__", function)
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, (str, int, float, list, tuple, dict)):
            spend(len(owner) if hasattr(owner, "__len__") else 0)
            if isinstance(owner, str) and name == "join":
                return joined(arguments[0], owner)
            if isinstance(owner, str) and name == "replace":
                return replaced(owner, *arguments)
            if name in ("expandtabs", "translate"):
                raise SecurityError(f"the method {name}")
            check_format(owner if name in ("format", "format_map") else None)
            check_arguments(*arguments, *named.values())
        return weigh(super().call(context, function, *arguments, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`*`, `**`, `+` and `%`: refused before they are evaluated if the result would be huge."""
        if operator == "%":
            check_format(left)
        elif isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
            if bits > LARGEST_BITS:
                raise SecurityError(f"an integer of more than {LARGEST_BITS} bits")
        elif operator == "*":
            length = next((len(side) for side in (left, right) if hasattr(side, "__len__")), 0)
            times = next((side for side in (left, right) if isinstance(side, int)), 0)
            spend(length * max(times, 0))
        return weigh(super().call_binop(context, operator, left, right))
