"""How `bitwright fit` prints a result: what was lost, which tensors got which bits, what to do next."""

from __future__ import annotations

from typing import Any

from bitwright.cli import output


def show(found: dict[str, Any]) -> None:
    """Print the view `fitted`."""
    name = found["output"]
    output.say_headline(name, found["headline"])
    for sentence in found["words"]:
        output.say(sentence)
    print()
    rows = [
        (r["role"], r["tensors"], f"{r['bits_per_weight']:.2f}", output.human_bytes(r["bytes"]), counted(r["formats"]))
        for r in found["roles"]
    ]
    output.print_table(["tensors of", ">number", ">bits/weight", ">bytes", "formats"], rows)
    if len(found["front"]) > 1:
        print()
        front(found["front"])
    for warning in found["warnings"]:
        output.say(f"warning: {warning}", 2, output.bad)
    print()
    size = f"{output.human_bytes(found['bytes'])}, {found['bits_per_weight']:.2f} bits per weight"
    output.say(f"wrote {name}: {size}, in {minutes(found['seconds'])}", 2)
    kept = f", {output.human_bytes(found['disk_bytes'])} of disk for the next search" if found["disk_bytes"] else ""
    output.remark(f"peak memory {output.human_bytes(found['peak_memory_bytes'])}{kept}")
    if found["interrupted"]:
        output.remark("interrupted: this is the best so far; the same command goes on")
    output.remark(f'next: bitwright run {name} "Hello"')


def front(points: list[dict[str, Any]]) -> None:
    """Print what files of other sizes are predicted to lose, and how fast they are, around the one that was written."""
    timed = any(p["tokens_per_second"] is not None for p in points)
    titles = [">bytes of the file", ">KL divergence", *([">tokens/s"] if timed else []), ""]
    rows = []
    for p in points:
        speed = [output.human_rate(p["tokens_per_second"]) if p["tokens_per_second"] else ""] if timed else []
        where = "this file" if p["chosen"] else "predicted"
        rows.append((f"{p['bytes']:,}", f"{p['kl_divergence']:.5f}", *speed, where))
    output.print_table(titles, rows)


def counted(formats: dict[str, int]) -> str:
    """{"q4_k": 20, "q5_k": 1} -> "20 q4_k, 1 q5_k"; of one tensor, its format."""
    if sum(formats.values()) == 1:
        return next(iter(formats))
    return ", ".join(f"{count} {name}" for name, count in formats.items())


def minutes(seconds: float) -> str:
    """95 -> "1.6 minutes", 12 -> "12.0 s"."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} minutes"


def show_models(found: dict[str, Any]) -> None:
    """Print the view `several`: which model to keep, and its file."""
    output.say(found["headline"], style=output.bold)
    for sentence in [*found["words"], *found["refused"]]:
        output.say(sentence)
    print()
    show(found["result"])
