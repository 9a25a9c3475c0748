"""Filters, tests, operators and methods in chat templates give what plain Jinja gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2.ext import loopcontrols
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from bitwright.errors import BitwrightError
from bitwright.model.chat import ChatTemplate

MESSAGES = [
    {"role": "user", "content": "Hi <b>there</b> & you", "n": 3},
    {"role": "assistant", "content": "two\nlines\n\nof it", "n": 1},
    {"role": "User", "content": "", "n": 2},
]
EXPRESSIONS = (Path(__file__).parents[1] / "data/jinja_expressions.txt").read_text("utf-8").splitlines()
CASES = [line for line in EXPRESSIONS if not line.startswith("# ")]
VARIABLES: dict[str, Any] = {
    "messages": MESSAGES,
    "text": "one two-three\nFOUR é <i>&amp;</i> five",
    "numbers": [3, 1, 2, 3, 10],
    "words": ["b", "A", "a", "C"],
    "pairs": {"b": 2, "A": 3, "c": 1},
}


def plain() -> ImmutableSandboxedEnvironment:
    """Jinja as Hugging Face uses it."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, ensure_ascii=False, **options: json.dumps(
        value, ensure_ascii=ensure_ascii, **options
    )
    return environment


@pytest.mark.parametrize("case", CASES)
def test_what_a_template_computes_is_what_plain_jinja_computes(case: str) -> None:
    case = "{{ " + case.replace("\\n", "\n") + " }}"
    try:
        expected: str | None = plain().from_string(case).render(VARIABLES)
    except Exception:
        expected = None  # then ours fails too
    try:
        found: str | None = ChatTemplate({"default": case}, {}).render(**VARIABLES)
    except BitwrightError:
        found = None
    assert found == expected


def test_every_filter_and_test_is_among_the_cases() -> None:
    text = "\n".join(CASES)
    assert {name for name in FILTERS if f"|{name}" not in text} == {"urlize"}  # makes links, for pages
    assert all(f" is {name}" in text or f"|select('{name}'" in text for name in TESTS)


def test_named_arguments_may_have_any_name() -> None:
    source = (
        "{% set ns = namespace(self='', n=0) %}{% set ns.n = ns.n + 1 %}"
        "{{ ns.n }}{{ dict(function='a', context='b') }}{{ '{context}'.format(context=1) }}"
    )
    assert ChatTemplate({"default": source}, {}).render([]) == "1{'function': 'a', 'context': 'b'}1"
