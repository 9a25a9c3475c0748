"""The tables of a report's page; each takes the view of an evaluation or a comparison."""

from __future__ import annotations

from typing import Any

from bitwright.measure.noise_floor import in_floors
from bitwright.reports.html import decimals, note, span, table
from bitwright.views.numbers import human_bytes, nats


def measures(r: dict[str, Any]) -> str:
    """The main measures with their intervals."""
    f, k, percent = r["flips"], r["kl_divergence"], decimals(2, 100)
    rows = [
        ("KL divergence, nats", *span(k, nats)),
        ("same likeliest token, %", *span(r["same_top1_interval"], percent)),
        ("right to wrong, %", *span(f["right_to_wrong"], percent)),
        ("wrong to right, %", *span(f["wrong_to_right"], percent)),
        ("ln(perplexity / reference's)", *span(r["log_perplexity_ratio"], decimals(4))),
        ("bits per byte of text", *span(r["bits_per_byte"], decimals(4))),
        ("perplexity", f"{r['perplexity']['mean']:.4f}", f"reference {r['base_perplexity']['mean']:.4f}"),
    ]
    scored = f"{r['tokens_scored']} tokens scored in {r['chunks']} chunks of {r['context']}"
    intervals = f"95% intervals, resampled over {k['clusters']}" if k["low"] is not None else "no intervals, too few"
    about = f"{scored}; {intervals} {k['of']}. {stored(r)}"
    return table("Measures", ["measure", ">mean", ">95% interval"], rows) + note(about)


def stored(r: dict[str, Any]) -> str:
    """What storing the reference's predictions compactly does to the divergence, compared with the noise floor."""
    k, floor = r["kl_divergence"], (r["noise_floor"] or {}).get("kl_divergence")
    error = k["storage_error"]
    if not error:
        return "The reference's predictions are stored in full: nothing is lost by storing them."
    compared = ""
    if floor:
        compared = f", {in_floors(error / floor)} of {floor:.1e}"
    share = f"{error / k['mean']:.2%} of it{compared}"
    return f"Storing the reference's predictions compactly adds a standard error of {error:.1e} nats: {share}."


def floor(r: dict[str, Any]) -> str:
    """The variations of the noise floor."""
    found = r["noise_floor"]
    if not found:
        return ""
    rows = [
        (v["name"], nats(v["kl_divergence"]), f"{100 * v['same_top1']:.2f}%", v["tokens"]) for v in found["variations"]
    ]
    text = f"The reference compared with itself, computed in other ways. The candidate: {found['verdict']}."
    return table("Noise floor", ["computed with", ">KL, nats", ">same top", ">tokens"], rows) + note(text)


def statistics(r: dict[str, Any]) -> str:
    """All that llama-perplexity prints."""
    rows = []
    for s in r["statistics"]:
        value = "" if s["value"] is None else f"{s['value']:.6f}"
        error = "" if s["error"] is None else f"± {s['error']:.6f}"
        rows.append((s["name"], value, error, s["unit"]))
    text = "± is llama-perplexity's: the standard error if tokens were independent, which they are not."
    return table("What llama-perplexity prints", ["statistic", ">value", ">", ""], rows) + note(text)


def ranking(r: dict[str, Any]) -> str:
    """The models of a comparison, best first, with the interval of the measure that ranks them."""
    by_bits, rows = r["measure"] == "bits per byte", []
    for m in r["models"]:
        model, bits = m["model"], span(m["bits_per_byte"], decimals(4))
        divergence = span(m["kl_divergence"], nats) if "kl_divergence" in m else ("", "other tokenizer")
        divergence = ("0", "the reference") if m["is_reference"] else divergence
        quality = (divergence[0], *bits) if by_bits else (*divergence, bits[0])
        speed = (f"{m['tokens_per_second']:.1f}", f"{m['slowest']:.1f} to {m['fastest']:.1f}")
        file = (human_bytes(model["file_bytes"]), f"{model['bits_per_weight']:.2f}")
        rows.append((model["name"], *file, *quality, *speed))
    measures = [">KL, nats", ">bits/byte", ">95%"] if by_bits else [">KL, nats", ">95%", ">bits/byte"]
    return table("Models, best first", ["model", ">file", ">bits/weight", *measures, ">tokens/s", ">timings"], rows)


def pairs(r: dict[str, Any]) -> str:
    """Whether each model is better than each other; nothing is nearer the reference than itself, so it is left out."""
    left_out = {m["model"]["name"] for m in r["models"] if m["is_reference"] and r["measure"] == "KL divergence"}
    rows = [(p["first"], p["verdict"], p["second"], *span(p["difference"], nats))
            for p in r["pairs"] if p["first"] not in left_out]  # fmt: skip
    headers = ["model", "is", "than", f">difference in {r['measure']}", ">95% interval"]
    return table("Pairs of models", headers, rows) if rows else ""
