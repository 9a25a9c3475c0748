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
    """List the number formats, or show one in detail.

    With a NAME: its byte layout and decode formula.

    Example: bitwright formats q4_k
    """
    from bitwright.views.formats import formats as view

    found = view(name)
    if json:
        output.print_json(found)
        return
    _show_all(found) if name is None else _show(found)


def _show_all(found: dict[str, Any]) -> None:
    rows = [
        (d["name"], f"{d['bits_per_weight']:g}", d["block_size"], d["block_bytes"], _dash(d["ggml"]), d["summary"])
        for d in found["formats"]
    ]
    output.print_table(["format", ">bits/weight", ">block", ">bytes", ">gguf", "summary"], rows)
    print()
    output.say(f"and the families {' and '.join(found['families'])}, such as int4_asym_g32", 2)


def _show(d: dict[str, Any]) -> None:
    output.say(f"{d['name']}: {d['summary']}\n", 2, output.bold)
    block = f"{d['block_size']} weights in {d['block_bytes']} bytes" if d["block_size"] else "a whole row"
    output.print_pairs(
        [
            ("bits per weight", f"{d['bits_per_weight']:g}{'' if d['block_size'] else ' (plus a scale per row)'}"),
            ("block", block),
            ("GGUF type", _dash(d["ggml"])),
            ("decode", d["formula"]),
        ]
    )
    print()
    rows = []
    for f in d["fields"]:
        holds = f"{f['count']} x {f['type']}" if f["count"] else f"row x {f['type']}"
        rows.append((f["offset"], _dash(f["bytes"]), f["name"], holds, f["doc"]))
        if f["layout"]:
            rows.append(("", "", "", "", f["layout"]))
    output.print_table([">byte", ">bytes", "field", "holds", "meaning"], rows)


def _dash(value: object) -> object:
    return "-" if value is None else value
