"""Control characters are escaped, and nothing else is."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from bitwright.escapes import escaped, escaped_but_styled, escaped_json

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_every_control_character_is_escaped_and_no_other() -> None:
    every = [chr(point) for point in range(sys.maxunicode + 1)]
    changed = {character for character in every if escaped(character) != character}
    controls = {c for c in every if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n", "\t"}
    assert changed == controls | set(BIDI)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m done\r", r"\x9b31m done\r"),
        ("a\u202etxt.exe\u202c", r"a\u202etxt.exe\u202c"),
        ("\udcff\x00\x7f", r"\udcff\x00\x7f"),
        ("two\n\tlines", "two\n\tlines"),
        ("👩‍🚀 می‌خواهم é\u00a0漢字", "👩‍🚀 می‌خواهم é\u00a0漢字"),
    ],
)
def test_they_look_as_python_writes_them(text: str, shown: str) -> None:
    assert escaped(text) == shown and escaped(shown) == shown


def test_bitwrights_own_colours_stay() -> None:
    assert escaped_but_styled("\x1b[1mbold\x1b[0m \x1b[5mblinks\x1b[0m") == "\x1b[1mbold\x1b[0m \\x1b[5mblinks\x1b[0m"
    assert escaped_but_styled("plain \x1b") == "plain \\x1b" and escaped_but_styled("") == ""


def test_json_keeps_its_values() -> None:
    value = {"a\x9b": "\x1b[2J\u202e\x7f\x85\u2028é\n", "half": "\udcff"}
    text = escaped_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert escaped(text) == text and json.loads(text) == value
