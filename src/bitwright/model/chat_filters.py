"""Jinja's filters and tests with their work charged: what they read before they run, what they make afterwards."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.filters import make_attrgetter
from jinja2.tests import TESTS as JINJA_TESTS

from bitwright.model import chat_format
from bitwright.model.chat_budget import (
    alike,
    contained,
    hold,
    joined,
    replacing,
    searching,
    sized,
    spend,
    step,
    text_of,
    turns,
    weigh,
)

# What a filter does with its value decides how that is charged.
TEXT = ("capitalize", "e", "escape", "forceescape", "lower", "safe", "string", "trim", "truncate", "upper", "center")
SLOW_TEXT = ("pprint", "striptags", "title", "urlencode", "wordcount", "wordwrap", "xmlattr")
LOOPS = ("batch", "groupby", "list", "map", "max", "min", "slice", "unique")
CHOICES = ("reject", "rejectattr", "select", "selectattr")
SORTS = ("dictsort", "sort")
OTHERS = ("abs", "attr", "count", "d", "default", "filesizeformat", "first", "float", "int", "items", "last", "length")
PLAIN = (*OTHERS, "random", "reverse", "round")
SLOW = 64  # units for a character that Python code goes through
BOUNDED = ("batch", "center", "indent", "round", "slice", "wordwrap")  # their numbers decide how much is made


def _metered(name: str) -> Callable[..., Any]:
    """Jinja's filter `name`; its context or environment argument, if it takes one, stays the first."""
    function = JINJA_FILTERS[name]
    at = int(hasattr(function, "jinja_pass_arg"))

    @functools.wraps(function)
    def filter(*arguments: Any, **named: Any) -> Any:
        before, rest = [*arguments[:at]], [*arguments[at + 1 :]]
        value = arguments[at]
        if name in BOUNDED:
            chat_format.check_numbers(*rest, *named.values())
        if name == "trim" and (sought := [*rest, *named.values()]):
            searching(text_of(value), sought[0])
        if name in TEXT or name in SORTS:
            weigh(value)
        elif name in SLOW_TEXT:
            weigh(value, SLOW)
        elif name in LOOPS + CHOICES and value:
            value = turns(value)
        else:
            spend(0)
        return weigh(function(*before, value, *rest, **named))

    return filter


def _format(value: Any, *arguments: Any, **named: Any) -> Any:
    """Jinja's `format`."""
    chat_format.percent(text_of(value), named or arguments)
    return weigh(JINJA_FILTERS["format"](value, *arguments, **named))


def _indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> Any:
    """Jinja's `indent`."""
    chat_format.check_numbers(width)
    lines = len(s.splitlines()) if isinstance(s, str) else 1
    hold((len(width) if isinstance(width, str) else width) * (lines + 1) + len(weigh(s)))
    return weigh(JINJA_FILTERS["indent"](s, width, first, blank))


@pass_environment
def _join(environment: Environment, value: Iterable[Any], d: Any = "", attribute: Any = None) -> str:
    """Jinja's `join`."""
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return joined(value, str(d))


def _replace(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    """Jinja's `replace`."""
    text, old, new = text_of(s), text_of(old), text_of(new)
    replacing(text, old, new, -1 if count is None else count)
    return text.replace(old, new, -1 if count is None else count)


@pass_environment
def _sum(environment: Any, iterable: Iterable[Any], attribute: Any = None, start: Any = 0) -> Any:
    """Jinja's `sum`."""
    if isinstance(start, str):
        raise TypeError("sum() can't sum strings [use ''.join(seq) instead]")
    values = iterable if attribute is None else map(make_attrgetter(environment, attribute), iterable)
    return functools.reduce(lambda total, value: environment.call_binop(None, "+", total, value), turns(values), start)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Hugging Face's `tojson`: plain JSON, nothing escaped for HTML, non-ASCII characters as they are."""
    chat_format.check_numbers(indent, *(len(text) for text in (indent, *(separators or ())) if isinstance(text, str)))
    options: dict[str, Any] = {"ensure_ascii": ensure_ascii, "separators": separators, "sort_keys": sort_keys}
    weigh(value)
    if indent is None and separators is None:
        return str(weigh(json.dumps(value, **options)))
    return joined(json.JSONEncoder(indent=indent, **options).iterencode(value))


def _charged_test(name: str) -> Callable[..., Any]:
    """Jinja's test `name`; its environment argument, if it takes one, stays the first."""
    function: Any = JINJA_TESTS[name]
    charge = contained if name == "in" else alike if function.__module__ == "_operator" else None

    @functools.wraps(function)
    def test(*arguments: Any, **named: Any) -> Any:
        others = [*arguments[1:], *named.values()]
        if charge and others:
            charge(arguments[0], others[0])
        elif name in ("lower", "upper"):
            weigh(arguments[0])
        else:
            spend(0)
        return function(*arguments, **named)

    return test


def compared(left: Any, operator: str, right: Any) -> Any:
    """`left operator right`, charged first. `operator` is Jinja's word for it."""
    if operator in ("in", "notin"):
        contained(left, right)
        return (left in right) == (operator == "in")
    alike(left, right)
    compare: Any = JINJA_TESTS[{"lteq": "le", "gteq": "ge"}.get(operator, operator)]
    return compare(left, right)


FILTERS: dict[str, Callable[..., Any]] = {
    **{name: _metered(name) for name in (*TEXT, *SLOW_TEXT, *LOOPS, *CHOICES, *SORTS, *PLAIN)},
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "sum": _sum,
    "tojson": to_json,
    "_turns": turns,
    "_step": step,
    "_weigh": weigh,
    "_sized": sized,
    "_joined": joined,
    "_compared": compared,
}
TESTS = {name: _charged_test(name) for name in JINJA_TESTS}
