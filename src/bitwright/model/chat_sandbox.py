"""A Jinja environment for untrusted templates: those inside model files.

Jinja's sandbox keeps a template away from Python's internals, but not from running for ever or using all memory. So
every step of work is charged to a budget (`chat_budget`). The compiled template does the charging itself, because the
syntax tree is rewritten before compilation: loops, comparisons, literals, slices and `~` pass through filters.

Not covered: a template may spend the whole budget, three seconds of one core and a few hundred megabytes, on every
render; and it writes the prompt, so a hostile template still decides what the model is asked.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from bitwright.model import chat_format
from bitwright.model.chat_budget import LARGEST_BITS, hold, replacing, searching, spend, text_of, turns, weigh
from bitwright.model.chat_filters import FILTERS, SLOW, TESTS

LONGEST = 1 << 18  # characters of a template; the longest of known models have 30,000
MOST_TOKENS = 1 << 15
_BOUNDED = ("center", "ljust", "rjust", "zfill", "to_bytes")  # methods whose number decides how much is made
_SLOW = ("striptags", "unescape")
_SEARCHES = ("strip", "lstrip", "rstrip", "rfind", "rindex", "rsplit", "rpartition")
_REFUSED = ("encode", "expandtabs", "translate")


def raise_exception(message: object) -> None:
    """What templates call to refuse a conversation: raises TemplateError."""
    raise TemplateError(str(message))


def strftime_now(format: str) -> str:
    """The current local time, formatted."""
    chat_format.percent(format)
    chat_format.check_numbers(len(format))
    return datetime.datetime.now().strftime(format)


def new_dict(*arguments: Any, **named: Any) -> dict[Any, Any]:
    """`dict`, charged item by item."""
    return dict(*(value if isinstance(value, dict) else turns(value) for value in arguments), **named)


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
        if len(node.ops) == 1:
            operand = node.ops[0]
            return _through("_compared", node.expr, nodes.Const(operand.op), operand.expr)
        node.expr = _through("_weigh", node.expr)
        for operand in node.ops:
            operand.expr = _through("_weigh", operand.expr)
        return node

    def visit_List(self, node: nodes.List | nodes.Dict | nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _through("_weigh", node)

    visit_Dict = visit_List

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self.visit_List(node) if node.ctx == "load" else node  # other tuples are targets of assignment

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _through("_sized", node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _through("_joined", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        if isinstance(node.value, int) and node.value.bit_length() > LARGEST_BITS:
            raise SecurityError(f"an integer of more than {LARGEST_BITS} bits")
        return node

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        return _through("_step", nodes.Const(node.data, lineno=node.lineno))  # so that `finalize` counts it


def _through(name: str, node: Any, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, [*arguments], [], None, None, lineno=node.lineno)


@pass_context  # also keeps Jinja from evaluating constants while it compiles
def _finalize(context: Any, value: Any) -> str:
    return text_of(value)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment Hugging Face renders chat templates in, with a budget."""

    intercepted_binops = frozenset(("*", "**", "+", "-", "/", "//", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            optimized=False,
            finalize=_finalize,
        )
        self.filters, self.tests = dict(FILTERS), dict(TESTS)
        self.globals = {name: self.globals[name] for name in ("range", "cycler", "joiner")} | {"dict": new_dict}
        self.globals |= {"namespace": _Namespace, "raise_exception": raise_exception, "strftime_now": strftime_now}

    def _tokenize(self, source: str, *arguments: Any, **named: Any) -> TokenStream:
        if len(source) > LONGEST:
            raise ValueError(f"it has {len(source)} characters, more than {LONGEST}")
        stream = super()._tokenize(source, *arguments, **named)
        return TokenStream(_few(stream), stream.name, stream.filename)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Metering().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read an attribute: none of a type or of bytes, whose methods are not charged."""
        return not isinstance(obj, (type, bytes)) and super().is_safe_attribute(obj, attr, value)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """Refuse an attribute that templates may not read: raises SecurityError."""
        raise SecurityError(f"access to {attribute!r} of a {type(obj).__name__}")

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, charged."""
        weigh(argument) if isinstance(argument, tuple) else spend(0)
        return super().getitem(obj, argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`, charged."""
        spend(0)
        return super().getattr(obj, attribute)

    def call(self, context: Any, function: Any, /, *arguments: Any, **named: Any) -> Any:
        """Every call in a template: results of methods are charged, and those that could be huge beforehand."""
        method = getattr(function, "__wrapped__", function)
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, type):
            raise SecurityError(f"the method {name} of a type")
        if isinstance(owner, str):
            arguments = _text_method(owner, name, arguments, named)
        elif isinstance(owner, (list, tuple)):
            weigh(owner)
        if isinstance(owner, (str, int, float, list, tuple, dict, LoopContext)):
            weigh([arguments, named])
        if name in _BOUNDED:
            chat_format.check_numbers(*arguments, *named.values())
        return weigh(super().call(context, function, *arguments, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Every operator on two values: refused before it is evaluated if the result would be huge."""
        if operator == "%" and isinstance(left, str):
            chat_format.percent(left, right)
        elif isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
            if bits > LARGEST_BITS:
                raise SecurityError(f"an integer of more than {LARGEST_BITS} bits")
        elif operator == "*":
            times = next((side for side in (left, right) if isinstance(side, int)), 0)
            for side in (left, right):
                if isinstance(side, str):
                    hold(len(side) * max(times, 0))
                else:
                    weigh(side, max(times, 0))
        return weigh(super().call_binop(context, operator, left, right))


def _few(stream: TokenStream) -> Iterator[Token]:
    """The tokens of a template, which may not have too many: compiling costs memory for each."""
    for count, token in enumerate(stream):
        if count > MOST_TOKENS:
            raise ValueError(f"it has more than {MOST_TOKENS} words and signs")
        yield token


def _text_method(owner: str, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """Charge for a method of a string before it runs; returns the arguments to give it."""
    hold(len(owner))
    if name in _REFUSED:
        raise SecurityError(f"the method {name}")
    if name == "join" and len(arguments) == 1:
        arguments = (list(turns(arguments[0])),)
        hold(sum(len(text) for text in arguments[0] if isinstance(text, str)) + len(owner) * len(arguments[0]))
    elif name == "replace" and all(isinstance(text, str) for text in arguments[:2]) and len(arguments) > 1:
        replacing(owner, *arguments[:2])
    elif name in ("format", "format_map"):
        chat_format.braces(owner, *arguments, *named.values())
    elif name in _SEARCHES and (sought := [*arguments, *named.values()]):
        searching(owner, sought[0])
    elif name in _SLOW:
        spend(SLOW * len(owner))
    return arguments
