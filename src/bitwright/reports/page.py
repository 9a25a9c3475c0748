"""A report as one page of HTML that needs nothing else: it holds its style, plots and data, and uses no network."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from bitwright.reports import figures, horizon, tables, texts
from bitwright.reports.html import section, table
from bitwright.reports.style import STYLE


def page(report: dict[str, Any]) -> str:
    """The page of a report: the view `evaluation`, `horizon` or `comparison`, with the view `heat` of each model under
    `heat`."""
    several = "models" in report
    title = "Models compared" if several else f"What {report['model']['name']} lost"
    parts = [f"<h1>{escape(title)}</h1>", verdict(report)]
    parts += comparison(report) if several else suite(report) if "horizon" in report else evaluation(report)
    parts.append(provenance(report))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{view}<style>{STYLE}</style><body>{''.join(part for part in parts if part)}</body></html>\n"


def verdict(report: dict[str, Any]) -> str:
    """The headline, the sentences of the verdict, then the warnings of every model."""
    text = report["headline"] if "models" in report else f"{report['model']['name']}: {report['headline']}"
    headline = f'<p class="headline">{escape(text)}</p>'
    sentences = headline + "".join(f"<p>{escape(s)}</p>" for s in report["words"])
    models = report.get("models", [report])
    warned = [(m["model"]["name"], w) for m in models for w in m.get("warnings", [])]
    lines = (f'<p class="warning">Warning, {escape(name)}: {escape(text)}</p>' for name, text in warned)
    return f'<div class="verdict">{sentences}{"".join(lines)}</div>'


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
    about = {**r["about"], "seconds": f"{r['about']['seconds']:.1f}"}
    rows = list(about.items()) + [(m["model"]["name"], m["model"]["sha256"]) for m in r.get("models", [r])]
    data = json.dumps(r, ensure_ascii=False, allow_nan=False)
    return section("How this was made", table(["", ""], rows)) + (
        f"<details><summary>Everything as JSON</summary><pre>{escape(data)}</pre></details>"
    )
