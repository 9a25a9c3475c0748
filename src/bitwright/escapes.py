"""Control characters of names, files and models, which must not reach a terminal: they could hide or forge what is on
it, or make it do things."""

from __future__ import annotations

import re

# All of C0 (escape, bell, carriage return ...) but tab and newline; delete and C1, among them a one-byte CSI; breaks of
# lines and paragraphs; what overrides the direction of text; halves of surrogate pairs (bytes that are not UTF-8).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STYLE = re.compile(r"\x1b\[(?:0|1|2|31|32)m")  # what `cli.output` colours with


def escaped(text: str) -> str:
    """`text` with control characters as Python writes them, `\\x1b`; tabs and newlines stay."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def escaped_but_styled(text: str) -> str:
    """The same for text that bitwright has coloured."""
    styles = _STYLE.findall(text)
    parts = map(escaped, _STYLE.split(text))
    return next(parts) + "".join(style + part for style, part in zip(styles, parts, strict=True))


def escaped_json(text: str) -> str:
    """A JSON text with control characters in its strings as JSON writes them, `\\u009b`."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
