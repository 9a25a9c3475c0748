"""Format strings of untrusted templates: widths and precisions are bounded, results charged before they are made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter
from typing import Any

from jinja2.exceptions import SecurityError

from bitwright.model.chat_budget import spend, weigh

LARGEST_NUMBER = 10_000  # a width, a count or a precision above this is refused
_DIRECTIVE = re.compile(r"[_#0\- +^EO]*(\*|\d+)?(?:\.(\*|\d+)?)?")
_NUMBER = re.compile(r"\d+")


def check_numbers(*arguments: object) -> None:
    """Raise SecurityError for a number that would make a call run long."""
    if any(isinstance(argument, int) and abs(argument) > LARGEST_NUMBER for argument in arguments):
        raise SecurityError(f"a number above {LARGEST_NUMBER} as an argument")


def percent(text: str, values: Any = ()) -> None:
    """Charge for `text % values`. SecurityError for a width or precision above LARGEST_NUMBER."""
    widths = [width for directive in _directives(text) for width in directive if width]
    if "*" in widths:
        check_numbers(*(values if isinstance(values, tuple) else (values,)))
    _check_widths(width for width in widths if width != "*")
    spend(len(text))
    weigh(values, max(text.count("%"), 1))


def braces(text: str, *values: Any) -> None:
    """Charge for `text.format(*values)`. SecurityError for a width or precision above LARGEST_NUMBER."""
    for _, _, specification, _ in Formatter().parse(text):
        if not specification:
            continue
        _check_widths(_NUMBER.findall(specification))
        if "{" in specification:  # computed: it could be any part of an argument
            check_numbers(*values)
            if not all(isinstance(value, (str, int, float)) for value in values):
                raise SecurityError("a computed width from a list or dict")
            _check_widths(width for value in values for width in _NUMBER.findall(str(value)))
    spend(len(text))
    weigh(list(values), max(text.count("{"), 1))


def _check_widths(widths: Any) -> None:
    if any(len(width) > 9 or int(width) > LARGEST_NUMBER for width in widths):
        raise SecurityError(f"a width or precision above {LARGEST_NUMBER}")


def _directives(text: str) -> Iterator[tuple[str | None, str | None]]:
    """Width and precision of every directive of a `%` format."""
    at = text.find("%")
    while at >= 0:
        at += 1
        if text.startswith("(", at):  # the name of a value, in which parentheses pair
            depth = 0
            for at in range(at, len(text)):  # noqa: B020
                depth += (text[at] == "(") - (text[at] == ")")
                if depth == 0:
                    break
            at += 1
        match = _DIRECTIVE.match(text, at)
        assert match  # every part of it is optional
        yield match[1], match[2]
        at = text.find("%", match.end() + 1)
