"""Pieces of HTML that every part of a page is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from bitwright.views.numbers import fixed

MANY = 5  # columns from which a table is wider than a phone


def section(title: str, body: str) -> str:
    """A heading with its body; empty without a body."""
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


def figure(plot: str, caption: str) -> str:
    """A plot with its caption."""
    return f"<figure>{plot}<figcaption>{escape(caption)}</figcaption></figure>"


def note(text: str) -> str:
    """A small paragraph."""
    return f'<p class="note">{escape(text)}</p>'


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[object]], wrap: bool = False) -> str:
    """A header that starts with '>' aligns its column right, as on the command line; the first column names the rows.
    A table that is wider than its window scrolls, unless `wrap` breaks its words. `caption` is for screen readers."""
    classes = [' class="n"' if h.startswith(">") else "" for h in headers]
    titles = "".join(f'<th scope="col"{c}>{escape(h.removeprefix(">"))}</th>'
                     for h, c in zip(headers, classes, strict=True))  # fmt: skip
    head = f"<thead><tr>{titles}</tr></thead>" if any(headers) else ""
    body = "".join(f"<tr>{''.join(map(_cell, row, classes, range(len(row))))}</tr>" for row in rows)
    drawn = f'<table><caption class="heard">{escape(caption)}</caption>{head}<tbody>{body}</tbody></table>'
    if wrap:
        return f'<div class="wrap">{drawn}</div>'
    hint = '<p class="hint" aria-hidden="true">scroll sideways for more</p>' if len(headers) >= MANY else ""
    return f'{hint}<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">{drawn}</div>'


def _cell(cell: object, kind: str, column: int) -> str:
    text = escape(str(cell))
    return f"<td{kind}>{text}</td>" if column else f'<th scope="row"{kind}>{text}</th>'


def span(interval: dict[str, Any], text: Callable[[float], str]) -> tuple[str, str]:
    """Mean and interval of a view's interval, as text."""
    if interval["low"] is None:
        return text(interval["mean"]), f"too few {interval['of']}"
    return text(interval["mean"]), f"{text(interval['low'])} to {text(interval['high'])}"


def decimals(digits: int, factor: float = 1) -> Callable[[float], str]:
    """Writes a number times `factor` with that many decimals."""
    return lambda x: fixed(factor * x, digits)


def number(value: float | None) -> float:
    """A number of a view; None becomes NaN, which plots leave out."""
    return math.nan if value is None else value
