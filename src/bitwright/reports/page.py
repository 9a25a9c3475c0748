"""A report as one page of HTML that needs nothing else: it holds its style, plots and data, and uses no network."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from bitwright.reports import figures, horizon, tables, texts
from bitwright.reports.html import section, table
from bitwright.reports.style import STYLE
from bitwright.views.numbers import human_bytes

NAMES = {"kv": "key-value cache", "text_sha256": "SHA-256 of the text", "peak_memory_bytes": "peak memory"}


def page(report: dict[str, Any]) -> str:
    """The page of a report: the view `evaluation`, `horizon` or `comparison`, with the view `heat` of each model under
    `heat`."""
    several = "models" in report
    title = "Models compared" if several else f"What {report['model']['name']} lost"
    parts = [f"<h1>{escape(title)}</h1>", verdict(report)]
    parts += comparison(report) if several else suite(report) if "horizon" in report else evaluation(report)
    parts.append(provenance(report))
    body = "".join(part for part in parts if part)
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{view}<style>{STYLE}</style><body><main>{body}</main></body></html>\n"


def verdict(report: dict[str, Any]) -> str:
    """The headline, the sentences of the verdict, then the warnings."""
    text = report["headline"] if "models" in report else f"{report['model']['name']}: {report['headline']}"
    headline = f'<p class="headline">{escape(text)}</p>'
    sentences = headline + "".join(f"<p>{escape(s)}</p>" for s in report["words"])
    lines = "".join(f'<p class="warning">{escape(text)}</p>' for text in warnings(report))
    return f'<section class="verdict" aria-label="Result">{sentences}{lines}</section>'


def warnings(report: dict[str, Any]) -> list[str]:
    """Each warning once, with the names of the models that it is about unless it is about all."""
    models = [m for m in report.get("models", [report]) if not m.get("is_reference")]
    about: dict[str, list[str]] = {}
    for m in models:
        for text in m.get("warnings", []):
            about.setdefault(text, []).append(m["model"]["name"])
    return [f"Warning: {text}." if len(names) == len(models) else f"Warning, {', '.join(names)}: {text}."
            for text, names in about.items()]  # fmt: skip


def evaluation(r: dict[str, Any]) -> list[str]:
    """Everything about one candidate."""
    return [
        section("Measures", tables.measures(r)),
        section("Divergence of single tokens", figures.quantiles([r])),
        section("Survival", figures.survival([r])),
        section("Where the texts part", texts.partings(r)),
        section("Divergence by horizon", figures.growth(r)),
        section("Where the error comes from", figures.attribution(r)),
        section("Token by token", texts.heat(r)),
        section("Noise floor", tables.floor(r)),
        section("As llama-perplexity prints it", tables.statistics(r)),
    ]


def suite(r: dict[str, Any]) -> list[str]:
    """Everything about one candidate on the horizon suite."""
    return [
        section("How long it stays with the original", horizon.kinds(r)),
        section("Survival", horizon.survival(r)),
        section("Where the texts part", horizon.margins(r)),
        section("Where answers end", horizon.endings(r)),
    ]


def comparison(r: dict[str, Any]) -> list[str]:
    """Everything about several candidates."""
    measured = [m for m in r["models"] if "kl_divergence" in m and not m["is_reference"]]
    return [
        section("Quality against bytes", figures.front(r, "bytes")),
        section("Quality against speed", figures.front(r, "speed")),
        section("Models", tables.ranking(r)),
        section("Pair by pair", tables.pairs(r)),
        section("Divergence of single tokens", figures.quantiles(measured) if measured else ""),
        section("Survival", figures.survival(measured)),
        *(section(f"Where the error comes from: {m['model']['name']}", figures.attribution(m)) for m in measured),
        *(section(f"Token by token: {m['model']['name']}", texts.heat(m)) for m in measured),
    ]


def provenance(r: dict[str, Any]) -> str:
    """How the report was made, and the whole report as JSON."""
    shown = {"seconds": lambda x: f"{x:.1f}", "peak_memory_bytes": human_bytes}
    rows = [(NAMES.get(key, key), shown.get(key, str)(value)) for key, value in r["about"].items()]
    rows += [(f"SHA-256 of {m['model']['name']}", m["model"]["sha256"]) for m in r.get("models", [r])]
    data = json.dumps(r, ensure_ascii=False, allow_nan=False)
    return section("How this was made", table("How this was made", ["", ""], rows, wrap=True)) + (
        f"<details><summary>Everything as JSON</summary><pre>{escape(data)}</pre></details>"
    )
