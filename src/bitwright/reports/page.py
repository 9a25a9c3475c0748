"""A report as one page of HTML that needs nothing else: style, plots and data are in it, and it asks no network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from bitwright.reports import svg
from bitwright.reports.report import plain
from bitwright.reports.svg import Series

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #6b7178; --line: #e2e5e9; --paper: #fff; --mark: #c2410c }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa1a9; --line: #30353b; --paper: #15181c } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 50rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } p.note, figcaption, .legend { color: var(--soft);
  font-size: .88rem }
.verdict { border-left: 4px solid var(--mark); padding: .2rem 1rem } .warning { color: var(--mark); font-weight: 600 }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto }
td, th { padding: .2rem .8rem .2rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top } td.n, th.n { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap }
figure { margin: 1rem 0 } svg { width: 100%; height: auto } svg text { fill: var(--soft); font: 11px system-ui }
.grid { stroke: var(--line) } .line { fill: none; stroke-width: 2 } .band { opacity: .15; stroke: none }
.whisker { stroke: var(--ink); stroke-width: 1.4 } .floor { stroke: var(--soft); stroke-dasharray: 5 4 }
.joined { fill: none; stroke: var(--line); stroke-width: 2 }
.bar { fill: #3b6ea5 } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem }
.c0 { --c: #3b6ea5 } .c1 { --c: #c2410c } .c2 { --c: #2f855a } .c3 { --c: #8b5cf6 } .c4 { --c: #b7791f }
.c5 { --c: #0e7490 } .line { stroke: var(--c) } circle, .band { fill: var(--c) }
.key { border-bottom: 3px solid var(--c); margin-right: 1em }
.heat { line-height: 1.9; font-family: ui-monospace, monospace; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere }
.heat span { cursor: help } .heat span > i { display: none; position: fixed; right: 1rem; bottom: 1rem; z-index: 1;
  background: var(--paper); border: 1px solid var(--soft); padding: .4rem .7rem; font-style: normal; white-space: pre;
  line-height: 1.35; color: var(--ink) } .heat span:hover > i { display: block }
@media (prefers-color-scheme: dark) { .line, .bar, .key, circle { filter: brightness(1.4) } }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; font-size: .88rem }
"""


def page(report: dict[str, Any]) -> str:
    """The page of a report (`report.of_evaluation` or `report.of_comparison`)."""
    several = "models" in report
    title = "Models compared" if several else f"What {report['model']['name']} lost"
    parts = [f"<h1>{escape(title)}</h1>", verdict(report)]
    parts += comparison(report) if several else evaluation(report)
    parts.append(provenance(report))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{view}<style>{STYLE}</style><body>{''.join(part for part in parts if part)}</body></html>\n"


def verdict(report: dict[str, Any]) -> str:
    sentences = "".join(f"<p>{escape(s)}</p>" for s in report["words"])
    models = report.get("models", [report])
    warned = [(m["model"]["name"], w) for m in models for w in m.get("warnings", [])]
    lines = (f'<p class="warning">Warning, {escape(name)}: {escape(text)}</p>' for name, text in warned)
    return f'<div class="verdict">{sentences}{"".join(lines)}</div>'


def evaluation(r: dict[str, Any]) -> list[str]:
    """Everything about one candidate."""
    return [
        section("Measures", measures(r)),
        section("Divergence of single tokens", quantiles([r])),
        section("Survival", survival([r])),
        section("Where the paths part", partings(r)),
        section("Divergence by horizon", growth(r)),
        section("Where it comes from", attribution(r)),
        section("Token by token", heat(r)),
        section("Noise floor", floor(r)),
        section("As llama-perplexity prints it", statistics(r)),
    ]


def comparison(r: dict[str, Any]) -> list[str]:
    """Everything about several."""
    measured = [m for m in r["models"] if "kl_divergence" in m]
    return [
        section("Quality against bytes", front(r, "bytes")),
        section("Quality against speed", front(r, "speed")),
        section("Models", ranking(r)),
        section("Pair by pair", pairs(r)),
        section("Divergence of single tokens", quantiles(measured) if measured else ""),
        section("Survival", survival(measured)),
        *(section(f"Where it comes from: {m['model']['name']}", attribution(m)) for m in measured),
        *(section(f"Token by token: {m['model']['name']}", heat(m)) for m in measured),
    ]


def section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


def figure(plot: str, caption: str) -> str:
    return f"<figure>{plot}<figcaption>{escape(caption)}</figcaption></figure>"


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A header that starts with '>' sets its column right, as on the command line."""
    classes = [' class="n"' if h.startswith(">") else "" for h in headers]
    head = "".join(f"<th{c}>{escape(h.removeprefix('>'))}</th>" for h, c in zip(headers, classes, strict=True))
    body = (
        "<tr>" + "".join(f"<td{c}>{escape(str(cell))}</td>" for cell, c in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def span(i: dict[str, Any], digits: int, factor: float = 1) -> tuple[str, str]:
    """Mean and interval of an interval's JSON."""
    mean = f"{factor * i['mean']:.{digits}f}"
    if i["low"] is None:
        return mean, f"too few {i['of']}"
    return mean, f"{factor * i['low']:.{digits}f} to {factor * i['high']:.{digits}f}"


def ends(values: Iterable[float | None]) -> list[float]:
    """Ends of intervals as plots take them: NaN where there is no interval."""
    return [math.nan if value is None else value for value in values]


def measures(r: dict[str, Any]) -> str:
    f = r["flips"]
    rows = [
        ("KL divergence, nats", *span(r["kl_divergence"], 5)),
        ("same likeliest token, %", *span(r["same_top1_interval"], 2, 100)),
        ("turned from right to wrong, %", *span(f["right_to_wrong"], 2, 100)),
        ("turned from wrong to right, %", *span(f["wrong_to_right"], 2, 100)),
        ("ln(perplexity / reference's)", *span(r["log_perplexity_ratio"], 4)),
        ("bits per byte of text", *span(r["bits_per_byte"], 4)),
        ("perplexity", f"{r['perplexity']['mean']:.4f}", f"reference {r['base_perplexity']['mean']:.4f}"),
    ]
    k = r["kl_divergence"]
    note = (f"{r['tokens_scored']} tokens scored in {r['chunks']} chunks of {r['context']}; intervals: 95%, drawn over "
            f"{k['clusters']} {k['of']}. {stored(r)}")  # fmt: skip
    return table(["measure", ">mean", ">95% interval"], rows) + f'<p class="note">{escape(note)}</p>'


def stored(r: dict[str, Any]) -> str:
    """What keeping the reference's predictions in little room does to the divergence, beside the noise floor."""
    k, floor = r["kl_divergence"], (r["noise_floor"] or {}).get("kl_divergence")
    error = k["storage_error"]
    if not error:
        return "The reference's predictions are kept whole: nothing is lost by storing them."
    beside = ""
    if floor:
        times = f"{error / floor:,.0f}" if error >= 10 * floor else f"{error / floor:.2g}"
        beside = f", {times} times the noise floor of {floor:.1e}"
    return ("Storing the reference's predictions in little room adds a standard error to the divergence of "
            f"{error:.1e} nats: {error / k['mean']:.2%} of it{beside}.")  # fmt: skip


def quantiles(models: Sequence[dict[str, Any]]) -> str:
    series = [Series(m["model"]["name"], [(q, max(v, 1e-9)) for q, v in m["kl_divergence"]["quantiles"]])
              for m in models]  # fmt: skip
    least = next((m["noise_floor"]["kl_divergence"] for m in models if m["noise_floor"]), None)
    plot = svg.plot(series, "share of tokens", "KL divergence, nats", log_y=True, floor=least or None,
                    x_text=lambda x: f"{100 * x:.0f}%", y_text=lambda y: f"{y:g}")  # fmt: skip
    return figure(plot, "Quantiles: so many of the scored tokens diverge by less than this.")


def survival(models: Sequence[dict[str, Any]]) -> str:
    found = [(m["model"]["name"], m["first_divergence"]) for m in models if m.get("first_divergence")]
    if not found:
        return ""
    series = [Series(name, d["survival"], ends(b[1] for b in d["band"]), ends(b[2] for b in d["band"]), steps=True)
              for name, d in found]  # fmt: skip
    plot = svg.plot(series, "tokens written", "texts still the same", y_text=lambda y: f"{100 * y:.0f}%")
    return figure(plot, "Greedy texts that are still, token for token, what the reference writes.")


def partings(r: dict[str, Any]) -> str:
    parts = []
    for e in (r.get("free_running") or {}).get("examples", []):
        sides = "".join(f"<div><b>{side}</b><br>{escape(e[side])}…</div>" for side in ("reference", "candidate"))
        parts.append(f"<p>after token {e['step']}: …{escape(e['before'])}</p><div class='sides'>{sides}</div>")
    return "".join(parts)


def growth(r: dict[str, Any]) -> str:
    """Along the reference's texts and the candidate's own, by how far the text has gone."""
    rows = (r.get("free_running") or {}).get("kl_by_horizon", [])[:-1]  # the last is of all steps
    if not rows:
        return ""
    names = {"reference_path": "on the reference's texts", "own_path": "on its own texts"}
    series = [Series(name, [((row["first"] + row["last"]) / 2, row[key]["value"]) for row in rows],
                     ends(row[key]["low"] for row in rows), ends(row[key]["high"] for row in rows))
              for key, name in names.items()]  # fmt: skip
    a = r["free_running"]["amplification"]
    interval = "too few documents for an interval" if a["low"] is None else f"{a['low']:.2f} to {a['high']:.2f}"
    caption = (f"On its own texts the divergence is {a['value']:.2f} times that on the reference's ({interval}): "
               "above 1, errors feed on themselves.")  # fmt: skip
    return figure(svg.plot(series, "tokens written", "KL divergence, nats"), caption)


def attribution(r: dict[str, Any]) -> str:
    captions = {
        "source": "Sources of error, each alone and all together (activations: against the same weights in floats).",
        "tensors": "The reference with one kind of tensor quantized, the others as they were.",
    }
    parts = []
    for kind, caption in captions.items():
        shares = [a for a in r.get("attribution", []) if a["kind"] == kind]
        whiskers = [ends(a["divergence"][end] for end in ("low", "high")) for a in shares]
        names = [f"{a['name']} ({a['bytes'] / 1e6:.1f} MB)" if a["bytes"] else a["name"] for a in shares]
        rows = [(n, a["divergence"]["mean"], *e) for n, a, e in zip(names, shares, whiskers, strict=True)]
        parts.append(figure(svg.bars(rows, "KL divergence, nats"), caption) if rows else "")
    return "".join(parts)


def heat(r: dict[str, Any]) -> str:
    found = r.get("heat")
    if not found:
        return ""
    parts = []
    for token in found["tokens"]:
        strength = min(1.0, math.sqrt(max(token["kl"], 0) / 2))
        lines = [f"KL {token['kl']:.4f}"]
        for side in ("reference", "candidate"):
            lines += [side, *(f"  {100 * p:5.1f}%  {text!r}" for text, p in token.get(side, []))]
        shown = escape("\n".join(lines))
        style = f"background:rgba(194,65,12,{strength:.2f})"
        parts.append(f'<span style="{style}">{escape(token["text"])}<i>{shown}</i></span>')
    note = (f"Chunk {found['chunk']}, where the mean divergence is largest. The stronger its colour, the farther; "
            "point at a token.")  # fmt: skip
    return f'<p class="note">{note}</p><div class="heat">{"".join(parts)}</div>'


def floor(r: dict[str, Any]) -> str:
    found = r["noise_floor"]
    if not found:
        return ""
    rows = [(v["name"], f"{v['kl_divergence']:.2e}", f"{100 * v['same_top1']:.2f}%", v["tokens"])
            for v in found["variations"]]  # fmt: skip
    text = f"The reference beside itself. The candidate: {found['verdict']}."
    return table(["computed by", ">KL, nats", ">same top", ">tokens"], rows) + f'<p class="note">{escape(text)}</p>'


def statistics(r: dict[str, Any]) -> str:
    rows = []
    for s in r["statistics"]:
        error = "" if s["error"] is None else f"± {s['error']:.6f}"
        rows.append((s["name"], f"{s['value']:.6f}", error, s["unit"]))
    note = "± here is llama-perplexity's: a standard error as if tokens were independent, which they are not."
    return table(["statistic", ">value", ">", ""], rows) + f'<p class="note">{note}</p>'


def front(r: dict[str, Any], cost: str) -> str:
    """Quality against a cost: those on the front are joined by a line."""

    def place(m: dict[str, Any]) -> float:
        return m["model"]["file_bytes"] / 1e6 if cost == "bytes" else m["tokens_per_second"]

    key = "kl_divergence" if r["measure"] == "KL divergence" else "bits_per_byte"
    series = []
    for m in r["models"]:
        q = m[key]
        series.append(Series(m["model"]["name"], [(place(m), q["mean"])], ends([q["low"]]), ends([q["high"]])))
    best = sorted(s.points[0] for s in series if s.name in r["front"][cost])
    plot = svg.plot(series, "file, MB" if cost == "bytes" else "tokens decoded per second", r["measure"],
                    log_y=key == "kl_divergence", lines=False, joined=best)  # fmt: skip
    return figure(plot, f"Less is better. On the front, joined: {', '.join(r['front'][cost])}.")


def ranking(r: dict[str, Any]) -> str:
    rows = []
    for m in r["models"]:
        i = m["model"]
        divergence = span(m["kl_divergence"], 5) if "kl_divergence" in m else ("", "other tokenizer")
        rows.append((i["name"], f"{i['file_bytes'] / 1e6:.1f}", f"{i['bits_per_weight']:.2f}", *divergence,
                     *span(m["bits_per_byte"], 4), f"{m['tokens_per_second']:.1f}"))  # fmt: skip
    headers = ["model", ">MB", ">bits/weight", ">KL, nats", ">95%", ">bits/byte", ">95%", ">tokens/s"]
    return table(headers, rows)


def pairs(r: dict[str, Any]) -> str:
    rows = [(p["first"], p["verdict"], p["second"], *span(p["difference"], 5)) for p in r["pairs"]]
    return table(["model", "is", "than", f">difference in {r['measure']}", ">95% interval"], rows) if rows else ""


def provenance(r: dict[str, Any]) -> str:
    """How it was made, and all of it once more as data."""
    about = {**r["about"], "seconds": f"{r['about']['seconds']:.1f}"}
    rows = list(about.items()) + [(m["model"]["name"], m["model"]["sha256"]) for m in r.get("models", [r])]
    data = json.dumps(plain(r), ensure_ascii=False, allow_nan=False)
    return section("How this was made", table(["", ""], rows)) + (
        f"<details><summary>Everything as JSON</summary><pre>{escape(data)}</pre></details>"
    )
