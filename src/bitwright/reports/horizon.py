"""The parts of a report's page about the horizon suite; each takes the view `horizon`."""

from __future__ import annotations

from typing import Any

from bitwright.reports.figures import chart
from bitwright.reports.html import decimals, note, number, span, table
from bitwright.reports.svg import Series
from bitwright.views.numbers import nats


def kinds(r: dict[str, Any]) -> str:
    """A line for each kind of prompts, and for the original against itself."""
    rows = [_row(name, part) for name, part in r["horizon"].items()]
    rows += [_row(f"the original, {floor['name']}", floor) for floor in r["horizon"]["all"]["floors"]]
    headers = ["prompts", ">identical, %", ">95%", f">aligned of {r['suite']['steps']}", ">95%", ">KL, nats", ">95%",
               ">same top, %"]  # fmt: skip
    suite = r["suite"]
    used = f"{suite['prompts']} prompts of {suite['name']}, {suite['steps']} greedy tokens after each."
    about = "Aligned: tokens before the first that differs. KL and same top: over all tokens of the original's texts. "
    about += "95% intervals over prompts."
    return table("Horizon by kind of prompts", headers, rows) + note(f"{used} {about}")


def _row(name: str, part: dict[str, Any]) -> tuple[str, ...]:
    same = f"{100 * number(part['same_top1']['mean']):.1f}"
    shares = (*span(part["identical"], decimals(1, 100)), *span(part["aligned"], decimals(1)))
    return (name, *shares, *span(part["kl_divergence"], nats), same)


def survival(r: dict[str, Any]) -> str:
    """The share of texts still the same, by tokens written: all kinds together with its band, then each kind."""
    series = []
    for name, part in r["horizon"].items():
        d = part["first_divergence"]
        low, high = ([number(ends[side]) for ends in d["band"] if name == "all"] for side in (1, 2))
        series.append(Series(name, d["survival"], low, high, steps=True))
    return chart(
        series,
        "tokens written",
        "texts still the same",
        y_text=lambda y: f"{100 * y:.0f}%",
        caption="Texts that still equal the original's, token for token; the band is the interval of all.",
    )


def endings(r: dict[str, Any]) -> str:
    """How likely the end of a turn or a thought is, where the original has it."""
    rows = []
    for e in r["endings"]:
        what, both = f"{e['what']} ({e['places']} of {e['asked']} answers)", (e["original"], e["candidate"])
        means, same = (f"{part['mean']:.3f}" for part in both), f"{100 * e['ends']['mean']:.0f}%"
        rows.append((what, *means, *span(e["difference"], decimals(3)), same))
    headers = ["end of a", ">original", ">candidate", ">difference", ">95%", ">ends there"]
    text = "The mean probability of ending at the place where the original ends its answer to a short question."
    return table("Ends of turns and thoughts", headers, rows) + note(text) if rows else ""


def margins(r: dict[str, Any]) -> str:
    """How sure the original was where texts part."""
    m, first = r["horizon"]["all"]["margins"], r["horizon"]["all"]["first_divergence"]
    if not first["events"]:
        return ""
    rows = [
        (f"{b['nats']:g}", f"{100 * number(b['partings']):.0f}%", f"{100 * number(b['steps']):.0f}%")
        for b in m["below"]
    ]
    text = "The original's lead of its token over its second choice: if small, a coin toss; if large, a loss."
    noise = f"within the original's own noise (a lead below {number(first['tie']):.2g} nats)"
    about = note(f"{text} Of {first['events']} partings, {m['near_ties']} are {noise}.")
    return table("Leads where texts part", [">lead below, nats", ">of partings", ">of all tokens"], rows) + about
