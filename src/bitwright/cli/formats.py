"""`bitwright formats`: the table of number formats, or one format byte by byte."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bitwright.cli import complete, options, output


def formats(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A format, such as q4_k.", show_default=False, autocompletion=complete.format
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show the number formats, or one in detail.

    With a NAME: its byte layout and decode formula.

    Example: bitwright formats q4_k
    """
    from bitwright import formats as registry

    if name is not None:
        described = registry.describe(registry.get(name))
        output.print_json(described) if json else print_one(described)
        return
    table = [registry.describe(f) for f in registry.all()]
    if json:
        output.print_json({"formats": table, "families": registry.FAMILIES})
        return
    print_all(table)
    print(f"\nand the families {' and '.join(registry.FAMILIES)}, such as int4_asym_g32")


def print_all(table: list[dict[str, Any]]) -> None:
    rows = [
        (d["name"], f"{d['bits_per_weight']:g}", d["block_size"], d["block_bytes"], dash(d["ggml"]), d["summary"])
        for d in table
    ]
    output.print_table(["format", ">bits/weight", ">block", ">bytes", ">gguf", "summary"], rows)


def print_one(d: dict[str, Any]) -> None:
    print(f"{output.bold(d['name'])}: {d['summary']}\n")
    block = f"{d['block_size']} weights in {d['block_bytes']} bytes" if d["block_size"] else "a whole row"
    output.print_pairs(
        [
            ("bits per weight", f"{d['bits_per_weight']:g}{'' if d['block_size'] else ' (and each row its scale)'}"),
            ("block", block),
            ("GGUF type", dash(d["ggml"])),
            ("decode", d["formula"]),
        ]
    )
    print()
    rows = []
    for f in d["fields"]:
        holds = f"{f['count']} x {f['type']}" if f["count"] else f"row x {f['type']}"
        rows.append((f["offset"], dash(f["bytes"]), f["name"], holds, f["doc"]))
        if f["layout"]:
            rows.append(("", "", "", "", f["layout"]))
    output.print_table([">byte", ">bytes", "field", "holds", "meaning"], rows)


def dash(value: object) -> object:
    return "-" if value is None else value
