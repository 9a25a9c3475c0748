"""`bitwright explain`: what happens to one weight from memory to accumulator, on a device or on many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import complete, options, output

if TYPE_CHECKING:
    from bitwright.hardware.engines import Use
    from bitwright.hardware.execution import Explanation


UNITS = {"vector": "vector lanes", "tensor": "tensor cores", "matrix": "matrix unit"}


def explain(
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="q4_k, fp16, fp8_e4m3, ...", show_default=False, autocompletion=complete.format
        ),
    ],
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="ID",
            help="A device's id or FILE.json; repeatable.",
            show_default=False,
            autocompletion=complete.device,
        ),
    ] = None,
    this_machine: Annotated[
        bool, typer.Option("--this-machine", help="This machine, measured, as bitwright uses it.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what hardware really does with a number format.

    Stored as, loaded as, converted to, multiplied as (instruction and unit), accumulated in, scaled where; whether the
    engines use what the chip offers; what that means for decode and prefill; and the batch from which arithmetic is the
    limit rather than memory. Without --device, one row for each device. Beside each fact stands whether it was read in
    a source, computed, measured, or is general knowledge.

    Example: bitwright explain q4_k --device h100-sxm-80gb --device apple-m1-max-32c
    """
    from bitwright.hardware import devices
    from bitwright.hardware.execution import explain as explained
    from bitwright.recipes.file_types import FILE_TYPES

    recipe = FILE_TYPES.get(format.lower())
    if recipe and recipe.base != format.lower():
        output.remark(f"{format} is a recipe: most of its weights are {recipe.base}, which is shown")
    chosen = [devices.get(name) for name in device or ([] if this_machine else devices.devices())]
    found = [explained(format, d) for d in chosen]
    if this_machine:
        from bitwright.hardware.machine import this_machine as measured

        with output.progress("measuring") as report:
            machine = measured(report=report)
        found.append(explained(format, machine.device(), machine))
    if json:
        rows = [as_json(e) for e in found]
        return output.print_json(rows[0] if len(rows) == 1 else {"format": rows[0]["format"], "devices": rows})
    show(found[0]) if len(found) == 1 else show_all(found)


def as_json(e: Explanation) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "device": e.device.id,
        "format": e.stored.name,
        "stored": e.stored.described(),
        "bits_per_weight": e.stored.bits,
        "loaded": e.loaded,
        "converted_to": e.converted_to,
        "multiplied_as": e.multiplied_as,
        "accumulated_in": e.accumulated_in,
        "scaled": e.scaled,
        "path": e.path,
        "instruction": e.instruction,
        "unit": e.unit,
        "peak_operations_per_second": e.peak,
        "alternatives": e.alternatives,
        "remarks": e.remarks,
        "engine_uses": [asdict(use) for use in e.uses],
        "decode_note": e.decode_note,
        "prefill_note": e.prefill_note,
        "break_even_tokens": e.break_even,
        "verified": {"way": e.way_standing, "peak": e.peak_standing, "bandwidth": e.device.standing("bandwidth")},
        "sources": e.device.sources,
    }


def show(e: Explanation) -> None:
    d = e.device
    print(f"{output.bold(e.stored.name)} on {output.bold(d.name)}: {way(e)}\n")
    pairs = [
        ("stored as", e.stored.described()),
        ("loaded as", e.loaded),
        ("converted to", e.converted_to),
        ("multiplied as", f"{e.multiplied_as}, on the {UNITS[e.unit]} ({e.way_standing})" if e.unit else "not known"),
        ("instruction", e.instruction or "not known"),
        ("peak", f"{peak(e)} ({e.peak_standing})" if e.peak else peak(e)),
        ("accumulated in", e.accumulated_in or "not known"),
        ("scaled", e.scaled),
        ("decode", e.decode_note),
        ("prefill", e.prefill_note),
        ("break-even", even(e)),
    ]
    pairs += [("remark", text) for text in e.remarks]
    if e.alternatives:
        pairs.append(("alternatives", f"other software goes by {', '.join(e.alternatives)}"))
    output.print_pairs(pairs)
    print()
    for use in e.uses:
        print(f"{output.bold(engine(use))}: {use.what}{verdict(use)}")
        print(output.dim(f"  {use.standing}{': ' if use.where and use.where != use.standing else ''}"
                         f"{use.where if use.where != use.standing else ''}"))  # fmt: skip
    for source in d.sources:
        print(output.dim(f"source: {source}"))


def way(e: Explanation) -> str:
    return {
        "native": f"multiplied natively, as {e.multiplied_as}",
        "converted": f"converted to {e.multiplied_as} first",
        "int8": "turned to int8 on both sides",
        "unknown": "not known",
    }[e.path]


def peak(e: Explanation) -> str:
    from bitwright.hardware.execution import operations

    return operations(e.peak, e.multiplied_as) if e.peak else "not known"


def even(e: Explanation) -> str:
    if e.break_even is None:
        return "not known"
    many = f"{e.break_even:.1f}" if e.break_even < 10 else f"{e.break_even:.0f}"
    first = "memory" if e.measured is None else "fetching weights"
    return f"{many} tokens at a time: below, {first} is the limit; above, the multiplier"


def engine(use: Use) -> str:
    return use.engine if use.phase == "any" else f"{use.engine}, {use.phase}"


def verdict(use: Use) -> str:
    """Whether the engine uses what the chip offers, where it offers something."""
    return {True: " [uses the chip's native multiply]", False: " [does not use it]", None: ""}[use.uses_chip]


def show_all(found: list[Explanation]) -> None:
    s = found[0].stored
    print(f"{output.bold(s.name)}: {s.described()}\n")
    rows = []
    for e in found:
        many = "?" if e.break_even is None else f"{e.break_even:.0f}"
        standing = e.peak_standing if e.peak else ""
        rows.append((e.device.id, e.path, e.multiplied_as or "?", e.unit or "?", peak(e), standing, many, engines(e)))
    titles = ["device", "path", "as", "unit", ">peak", "standing", ">break-even", "engines"]
    output.print_table(titles, rows)


def engines(e: Explanation) -> str:
    """llama.cpp CUDA: int8 then mxfp4 (decode, then prefill, where they differ)."""
    ways: dict[str, list[str]] = {}
    for use in e.uses:
        ways.setdefault(use.engine, []).append(use.multiplied_as or use.what.split(":")[0])
    return "; ".join(f"{name}: {' then '.join(dict.fromkeys(found))}" for name, found in ways.items())
