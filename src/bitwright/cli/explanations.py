"""How `bitwright bench --explain` is shown: where a step's time goes, and what each format costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.cli import output

if TYPE_CHECKING:
    from bitwright.bench.profile import Explanation, FormatCost, Line, Pass
    from bitwright.bench.work import Limits

SMALL = 0.01  # of the time: lines below are shown as one


def as_json(e: Explanation) -> dict[str, Any]:
    return {
        "decode": pass_json(e.decode),
        "prefill": pass_json(e.prefill),
        "formats": [format_json(c, e.decode.limits) for c in e.formats],
        "coverage": [c._asdict() for c in e.coverage],
    }


def pass_json(p: Pass) -> dict[str, Any]:
    return {
        "tokens": p.tokens,
        "depth": p.depth,
        "seconds": p.seconds,
        "limits": p.limits._asdict(),
        "operations": [
            {
                "operation": line.what,
                "formats": line.formats,
                "seconds": line.seconds,
                "share_of_time": line.seconds / p.seconds,
                "bytes": round(line.work.bytes),
                "int8_operations": round(line.work.int8),
                "float_operations": round(line.work.floats),
                "gb_s": line.work.bytes / line.seconds / 1e9,
                "gop_s": line.work.operations / line.seconds / 1e9,
                "share_of_read": line.work.reading_share(line.seconds, p.limits),
                "share_of_arithmetic": line.work.arithmetic_share(line.seconds, p.limits),
            }
            for line in p.lines
        ],
    }


def format_json(c: FormatCost, limits: Limits) -> dict[str, Any]:
    return {
        "format": c.format,
        "share_of_weights": c.share,
        "stored_bits": c.stored_bits,
        "read_bits": c.read_bits,
        "ns_per_weight": 1e9 / c.decoding.memory,
        "unpack_ns_per_weight": 1e9 / c.decoding.cached,
        "read_ns_per_weight": c.decoding.bytes_per_weight / limits.read_gb_s,
        "cached_gb_s": c.decoding.cached_gb_s,
        "memory_gb_s": c.decoding.memory_gb_s,
        "bound_by": c.bound(limits),
    }


def show(e: Explanation) -> None:
    show_pass("decode", e.decode)
    show_pass("prefill", e.prefill)
    show_formats(e)
    for sentence in surprises(e):
        print(sentence)


def show_pass(name: str, p: Pass) -> None:
    after = f" after {p.depth}" if p.depth else ""
    tokens = "1 token" if p.tokens == 1 else f"{p.tokens} tokens"
    print(output.bold(f"\n{name}") + f", {tokens}{after}: {1e3 * p.seconds:.2f} ms")
    shown = [line for line in p.lines if line.seconds >= SMALL * p.seconds]
    rest = 1 - sum(line.seconds for line in shown) / p.seconds
    rows = [row(line, p) for line in shown]
    rows.append(("the rest", "", percent(rest), "", "", "", "", "", ""))
    titles = ["operation", "formats", ">time", ">MB", ">GB/s", ">of reads", ">Mop", ">Gop/s", ">of arithmetic"]
    output.print_table(titles, rows, 2)


def row(line: Line, p: Pass) -> tuple[str, ...]:
    w, seconds = line.work, line.seconds
    reads = number(w.bytes / 1e6), number(w.bytes / seconds / 1e9), percent(w.reading_share(seconds, p.limits))
    arithmetic = percent(w.arithmetic_share(seconds, p.limits))
    operations = number(w.operations / 1e6), number(w.operations / seconds / 1e9), arithmetic
    none = ("", "", "")
    used = *(reads if w.bytes else none), *(operations if w.operations else none)
    return line.what, " ".join(line.formats), percent(seconds / p.seconds), *used


def number(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def percent(x: float) -> str:
    return f"{100 * x:.0f}%"


def show_formats(e: Explanation) -> None:
    limits = e.decode.limits
    paths = {(c.format, c.tier): c for c in e.coverage}
    tiers = list(dict.fromkeys(c.tier for c in e.coverage))
    print(output.bold("\nformats") + ", one token, all threads: ns for a weight, of which unpacking and reading take")
    rows = []
    for c in e.formats:
        d, own = c.decoding, [paths.get((c.format, tier)) for tier in tiers]
        rows.append(
            (
                c.format,
                percent(c.share) if c.share else "none",
                f"{c.stored_bits:.2f}",
                f"{c.read_bits:.2f}",
                f"{1e9 / d.memory:.4f}",
                f"{1e9 / d.cached:.4f}",
                f"{d.bytes_per_weight / limits.read_gb_s:.4f}",
                f"{d.cached_gb_s:.1f}",
                f"{d.memory_gb_s:.1f}",
                c.bound(limits),
                *(way(x.decode, x.prefill) if x else "" for x in own),
            )
        )
    titles = ["format", ">weights", ">bits", ">read", ">ns", ">unpacking", ">reading", ">GB/s in cache", ">from memory",
              "bound by", *tiers]  # fmt: skip
    output.print_table(titles, rows, 2)


def way(decode: str, prefill: str) -> str:
    return decode if decode == prefill else f"{decode}, prefill {prefill}"


def surprises(e: Explanation) -> list[str]:
    """A sentence for each format of the model that takes longer than one of more bits."""
    found = []
    for i, c in enumerate(e.formats):
        slower = [d for d in e.formats[i + 1 :] if d.decoding.memory > c.decoding.memory and c.share]
        if slower:
            d = slower[-1]
            found.append(
                f"{c.format} is slower than {d.format} though it reads {c.read_bits:.1f} rather than {d.read_bits:.1f} "
                f"bits: unpacking takes {1e9 / c.decoding.cached:.4f} ns rather than {1e9 / d.decoding.cached:.4f}."
            )
    return found
