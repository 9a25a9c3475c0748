"""Pieces of HTML that every part of a page is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from bitwright.views.numbers import fixed


def section(title: str, body: str) -> str:
    """A heading with its body; empty without a body."""
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


def figure(plot: str, caption: str) -> str:
    """A plot with its caption."""
    return f"<figure>{plot}<figcaption>{escape(caption)}</figcaption></figure>"


def note(text: str) -> str:
    """A small paragraph."""
    return f'<p class="note">{escape(text)}</p>'


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A header that starts with '>' aligns its column right, as on the command line."""
    classes = [' class="n"' if h.startswith(">") else "" for h in headers]
    head = "".join(f"<th{c}>{escape(h.removeprefix('>'))}</th>" for h, c in zip(headers, classes, strict=True))
    body = (
        "<tr>" + "".join(f"<td{c}>{escape(str(cell))}</td>" for cell, c in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


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
