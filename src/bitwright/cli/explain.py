"""`bitwright explain`: what happens to one weight on its way from memory to the accumulator, on one device or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import complete, options, output

if TYPE_CHECKING:
    from bitwright.hardware.engines import Use
    from bitwright.hardware.execution import Ability, ExecutionPath

UNITS = {"vector": "vector lanes", "tensor": "tensor cores", "matrix": "matrix unit"}


def explain(
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="A format: q4_k, fp16, fp8_e4m3, ...",
            show_default=False,
            autocompletion=complete.format,
        ),
    ],
    device: options.Device = None,
    this_machine: Annotated[
        bool, typer.Option("--this-machine", help="Show this machine, measured, as bitwright uses it.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what hardware really does with a number format.

    The first line is what engines do with such weights; below it, what the chip could do besides.

    Shows how a weight is stored, loaded, converted, multiplied (instruction and unit), accumulated and scaled; whether
    engines use what the chip offers; what that means for decode and prefill; and the batch size above which arithmetic
    limits the speed, not memory. Each fact says whether it was read in a source, computed, measured, or is general
    knowledge. Without --device, there is one row per device.

    Example: bitwright explain q4_k --device h100 --device "M1 Max"
    """
    from bitwright.hardware import devices
    from bitwright.hardware.execution import execution_path
    from bitwright.recipes.file_types import FILE_TYPES
    from bitwright.views.execution import execution as view

    recipe = FILE_TYPES.get(format.lower())
    if recipe and recipe.base != format.lower():
        output.remark(f"{format} is a recipe; most of its weights are {recipe.base}, which is shown here")
    chosen = devices.named(device or ([] if this_machine else devices.devices()))
    found = [execution_path(format, d) for d in chosen]
    if this_machine:
        from bitwright.hardware.machine import this_machine as measured
        from bitwright.hardware.number_format import number_format

        stored = number_format(format).format
        with output.progress("measuring this machine") as report:
            machine = measured(report=report, formats={stored.name} if stored else ())
        found.append(execution_path(format, machine.device(), machine))
    if json:
        output.print_json(view(found))
        return
    _show(found[0]) if len(found) == 1 else _show_all(found)


def _show(e: ExecutionPath) -> None:
    d = e.device
    output.say(f"{e.stored.name} on {d.name}: {e.headline}", 2, output.bold)
    if e.unused is not None:
        output.say(f"{_could(e.unused)}; no engine listed here does", 2)
    print()
    pairs = [
        ("stored as", e.stored.described()),
        ("loaded as", e.loaded),
        ("converted to", e.converted_to),
        ("multiplied as", f"{e.multiplied_as}, on the {UNITS[e.unit]} ({e.way_standing})" if e.unit else "not known"),
        ("instruction", e.instruction or "not known"),
        ("peak", f"{_peak(e)} ({e.peak_standing})" if e.peak else _peak(e)),
        ("accumulated in", e.accumulated_in or "not known"),
        ("scaled", e.scaled),
        ("decode", e.decode_note),
        ("prefill", e.prefill_note),
        ("break-even", _even(e)),
    ]
    pairs += [("remark", text) for text in e.remarks]
    if e.alternatives:
        pairs.append(("alternatives", f"other software uses {', '.join(e.alternatives)}"))
    output.print_pairs(pairs)
    print()
    for use in e.uses:
        output.say(f"{_engine(use)}: {use.what}{verdict(use)}", 2)
        where = f": {use.where}" if use.where and use.where != use.standing else ""
        output.say(f"  {use.standing}{where}", 4, output.dim)
    for source in d.sources:
        output.say(f"source: {source}", 2, output.dim)


def _could(unused: Ability) -> str:
    from bitwright.hardware.execution import operations

    peak = f" at {operations(unused.peak, unused.format)}" if unused.peak else ""
    return f"the chip could multiply {unused.format} by {unused.format}{peak}, if activations were {unused.format} too"


def _peak(e: ExecutionPath) -> str:
    from bitwright.hardware.execution import operations

    return operations(e.peak, e.multiplied_as) if e.peak else "not known"


def _even(e: ExecutionPath) -> str:
    if e.break_even is None:
        return "not known"
    many = f"{e.break_even:.1f}" if e.break_even < 10 else f"{e.break_even:.0f}"
    first = "memory" if e.measured is None else "fetching weights"
    return f"{many} tokens at a time: {first} limits the speed below, arithmetic above"


def _engine(use: Use) -> str:
    return use.engine if use.phase == "any" else f"{use.engine}, {use.phase}"


def verdict(use: Use) -> str:
    """Whether the engine uses the chip's native multiply, if the chip has one."""
    return {True: " [uses the chip's native multiply]", False: " [does not use the chip's native multiply]", None: ""}[
        use.uses_chip
    ]


def _show_all(found: list[ExecutionPath]) -> None:
    s = found[0].stored
    output.say(f"{s.name}: {s.described()}\n", 2)
    rows = []
    for e in found:
        many = "?" if e.break_even is None else f"{e.break_even:.0f}"
        standing = e.peak_standing if e.peak else ""
        rows.append((e.device.id, e.path, e.multiplied_as or "?", e.unit or "?", _peak(e), standing, many, engines(e)))
    titles = ["device", "path", "as", "unit", ">peak", "standing", ">break-even", "engines"]
    output.say_left_out(output.print_table(titles, rows, drop=["standing", "unit", "path", "break-even", "as"]))


def engines(e: ExecutionPath) -> str:
    """llama.cpp CUDA: int8 then mxfp4 (decode, then prefill, if they differ)."""
    ways: dict[str, list[str]] = {}
    for use in e.uses:
        ways.setdefault(use.engine, []).append(use.multiplied_as or use.what.split(":")[0])
    return "; ".join(f"{name}: {' then '.join(dict.fromkeys(found))}" for name, found in ways.items())
