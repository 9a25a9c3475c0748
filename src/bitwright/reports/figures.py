"""The plots of a report's page; each takes the view of an evaluation or a comparison, or several evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bitwright.reports import svg
from bitwright.reports.html import decimals, figure, number
from bitwright.reports.svg import Series
from bitwright.views.numbers import human_bytes, nats


def chart(series: Sequence[Series], x: str, y: str, caption: str, **options: Any) -> str:
    """A plot of lines with a legend and a caption; `options` are those of `svg.plot`."""
    drawn = "".join(svg.plot(series, x, y, frame, **options) for frame in svg.FRAMES)
    return figure(drawn + (svg.legend([s.name for s in series]) if len(series) > 1 else ""), caption)


def quantiles(models: Sequence[dict[str, Any]]) -> str:
    """Quantiles of the tokens' divergences, a line for each model."""
    series = [
        Series(m["model"]["name"], [(share, max(value, 1e-9)) for share, value in m["kl_divergence"]["quantiles"]])
        for m in models
    ]
    least = next((m["noise_floor"]["kl_divergence"] for m in models if m["noise_floor"]), None)
    return chart(series, "share of tokens", "KL divergence, nats", log_y=True, floor=least or None,
                 x_text=lambda x: f"{100 * x:.0f}%",
                 caption="Quantiles: this share of the scored tokens diverges by less than shown.")  # fmt: skip


def survival(models: Sequence[dict[str, Any]]) -> str:
    """The share of texts that still equal the reference's, by tokens written; empty without texts."""
    found = [(m["model"]["name"], m["first_divergence"]) for m in models if m.get("first_divergence")]
    if not found:
        return ""
    series = [
        Series(
            name, d["survival"], [number(x) for _, x, _ in d["band"]], [number(x) for *_, x in d["band"]], steps=True
        )
        for name, d in found
    ]
    return chart(series, "tokens written", "texts still the same", y_text=lambda y: f"{100 * y:.0f}%",
                 caption="Greedy texts that still equal the reference's, token for token.")  # fmt: skip


def growth(r: dict[str, Any]) -> str:
    """The divergence along the reference's and the candidate's texts, by tokens written."""
    rows = (r.get("free_running") or {}).get("kl_by_horizon", [])[:-1]  # the last row is of all steps
    if not rows:
        return ""
    names = {"reference_path": "on the reference's texts", "own_path": "on its own texts"}
    series = [
        Series(
            name,
            [((row["first"] + row["last"]) / 2, number(row[key]["value"])) for row in rows],
            [number(row[key]["low"]) for row in rows],
            [number(row[key]["high"]) for row in rows],
        )
        for key, name in names.items()
    ]
    a = r["free_running"]["amplification"]
    interval = "too few documents for an interval" if a["low"] is None else f"{a['low']:.2f} to {a['high']:.2f}"
    caption = (
        f"On its own texts the divergence is {number(a['value']):.2f} times that on the reference's ({interval}): "
        "above 1, errors feed on themselves."
    )
    return chart(series, "tokens written", "KL divergence, nats", caption)


def attribution(r: dict[str, Any]) -> str:
    """Bars of the divergence from each source of error alone, and from each kind of tensor alone."""
    captions = {
        "source": "Sources of error, each alone and all together (activations: compared with the same weights in "
        "floats).",
        "tensors": "The reference with one kind of tensor quantized and the others unchanged.",
    }
    parts = []
    for kind, caption in captions.items():
        rows = [_bar(a) for a in r.get("attribution", []) if a["kind"] == kind]
        drawn = "".join(svg.bars(rows, "KL divergence, nats", frame) for frame in svg.FRAMES if rows)
        parts.append(figure(drawn, caption) if rows else "")
    return "".join(parts)


def _bar(a: dict[str, Any]) -> tuple[str, float, float, float]:
    name, d = f"{a['name']} ({human_bytes(a['bytes'])})" if a["bytes"] else a["name"], a["divergence"]
    return name, d["mean"], number(d["low"]), number(d["high"])


def front(r: dict[str, Any], cost: str) -> str:
    """Quality against a cost, "bytes" or "speed": a line joins the models on the front. The reference, whose divergence
    is 0, lies on the axis."""
    key = "kl_divergence" if r["measure"] == "KL divergence" else "bits_per_byte"
    value = nats if key == "kl_divergence" else decimals(4)
    series, names = [], []
    for m in r["models"]:
        name, zero = m["model"]["name"], m["is_reference"] and key == "kl_divergence"
        place = m["model"]["file_bytes"] / 1e6 if cost == "bytes" else m["tokens_per_second"]
        low, high = (math.nan if zero else number(m[key][end]) for end in ("low", "high"))
        paid = human_bytes(m["model"]["file_bytes"]) if cost == "bytes" else f"{place:.1f} tokens/s"
        lost = (
            "the reference" if zero else value(m[key]["mean"]) + (" nats" if key == "kl_divergence" else " bits/byte")
        )
        names.append(f"{name}: {paid}, {lost}")
        across = (m["slowest"], m["fastest"]) if cost == "speed" else None
        series.append(Series(name, [(place, m[key]["mean"])], [low], [high], across=across))
    best = sorted(s.points[0] for s in series if s.name in r["front"][cost])
    x = "file, MB" if cost == "bytes" else "tokens decoded per second"
    drawn = "".join(
        svg.plot(series, x, r["measure"], frame, log_y=key == "kl_divergence", lines=False, joined=best, zero_x=True)
        for frame in svg.FRAMES
    )
    about = "Whiskers span the intervals" + (" and the timings." if cost == "speed" else ".")
    caption = f"Lower is better. {about} On the front, joined by a line: {', '.join(r['front'][cost])}."
    return figure(drawn + svg.legend(names, numbered=True), caption)
