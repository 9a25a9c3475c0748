"""The tables of `bitwright bench --explain`: where a step's time goes, and what each format costs."""

from __future__ import annotations

from typing import Any

from bitwright.cli import output

SMALL = 0.01  # share of the time; smaller operations are shown as one row


def show(found: dict[str, Any]) -> None:
    """Print what the view `profile` holds."""
    left_out = _show_pass("decode", found["decode"]) + _show_pass("prefill", found["prefill"])
    left_out += _show_formats(found["formats"], found["coverage"])
    for sentence in surprises(found["formats"]):
        output.say(sentence, 2)
    output.say_left_out(left_out)


def _show_pass(name: str, p: dict[str, Any]) -> list[str]:
    """Print where the time of one pass goes; returns the columns left out."""
    after = f" after {p['depth']}" if p["depth"] else ""
    tokens = "1 token" if p["tokens"] == 1 else f"{p['tokens']} tokens"
    print(output.bold(f"\n{name}") + f", {tokens}{after}: {1e3 * p['seconds']:.2f} ms")
    shown = [line for line in p["operations"] if line["share_of_time"] >= SMALL]
    rest = 1 - sum(line["share_of_time"] for line in shown)
    rows = [*map(_row, shown), ("other", "", _percent(rest), "", "", "", "", "", "")]
    titles = ["operation", "formats", ">time", ">MB", ">GB/s", ">of reads", ">Mop", ">Gop/s", ">of arithmetic"]
    return output.print_table(titles, rows, 2, ["Mop", "MB", "of arithmetic", "of reads"])


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    operations = line["int8_operations"] + line["float_operations"]
    reads = _number(line["bytes"] / 1e6), _number(line["gb_s"]), _percent(line["share_of_read"])
    arithmetic = _number(operations / 1e6), _number(line["gop_s"]), _percent(line["share_of_arithmetic"])
    none = ("", "", "")
    used = *(reads if line["bytes"] else none), *(arithmetic if operations else none)
    return line["operation"], " ".join(line["formats"]), _percent(line["share_of_time"]), *used


def _number(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def _percent(x: float) -> str:
    return f"{100 * x:.0f}%"


def _show_formats(formats: list[dict[str, Any]], coverage: list[dict[str, Any]]) -> list[str]:
    """Print what each format costs; returns the columns left out."""
    ways = {(c["format"], c["tier"]): _way(c["decode"], c["prefill"]) for c in coverage}
    tiers = list(dict.fromkeys(c["tier"] for c in coverage))
    print()
    output.say("formats, one token on all threads: ns per weight in all, for unpacking and for reading", 2, output.bold)
    rows = [
        (
            c["format"],
            _percent(c["share_of_weights"]) if c["share_of_weights"] else "none",
            f"{c['stored_bits']:.2f}",
            f"{c['read_bits']:.2f}",
            f"{c['ns_per_weight']:.4f}",
            f"{c['unpack_ns_per_weight']:.4f}",
            f"{c['read_ns_per_weight']:.4f}",
            f"{c['cached_gb_s']:.1f}",
            f"{c['memory_gb_s']:.1f}",
            c["bound_by"],
            *(ways.get((c["format"], tier), "") for tier in tiers),
        )
        for c in formats
    ]
    titles = ["format", ">weights", ">bits", ">read", ">ns", ">unpacking", ">reading", ">GB/s in cache", ">from memory"]
    return output.print_table([*titles, "bound by", *tiers], rows, 2, [*tiers, "reading", "unpacking", "GB/s in cache"])


def _way(decode: str, prefill: str) -> str:
    return decode if decode == prefill else f"{decode}, prefill {prefill}"


def surprises(formats: list[dict[str, Any]]) -> list[str]:
    """A sentence for each format of the model that takes longer than a format of more bits."""
    found = []
    for i, c in enumerate(formats):
        slower = [d for d in formats[i + 1 :] if d["ns_per_weight"] < c["ns_per_weight"] and c["share_of_weights"]]
        if slower:
            d = slower[-1]
            bits = f"{c['read_bits']:.1f} bits per weight instead of {d['read_bits']:.1f}"
            unpacking = f"{c['unpack_ns_per_weight']:.4f} ns instead of {d['unpack_ns_per_weight']:.4f}"
            explained = c["unpack_ns_per_weight"] > d["unpack_ns_per_weight"]
            why = (
                f"unpacking takes {unpacking}" if explained else "unpacking, which takes no longer, does not explain it"
            )
            found.append(f"{c['format']} is slower than {d['format']}, though it reads {bits}: {why}.")
    return found
