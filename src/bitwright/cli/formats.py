"""`bitwright formats`: the table of number formats, or one format byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import options, output

if TYPE_CHECKING:
    from bitwright.formats import Format


def formats(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A format, such as q4_k.", show_default=False)
    ] = None,
    json: options.Json = False,
) -> None:
    """Show the number formats, or one in detail.

    With a NAME: its byte layout and decode formula.

    Example: bitwright formats q4_k
    """
    from bitwright import formats as registry

    if name is None:
        described = [describe(f) for f in registry.all()]
        output.print_json({"formats": described}) if json else print_all(described)
    else:
        described_one = describe(registry.get(name))
        output.print_json(described_one) if json else print_one(described_one)


def describe(format: Format) -> dict[str, Any]:
    """Everything the declaration says, with each field's offset in bytes."""
    fields, offset = [], 0
    for field in format.fields:
        fields.append(
            {
                "name": field.name,
                "dtype": field.dtype,
                "count": field.count,
                "offset": offset,
                "bytes": field.nbytes,
                "doc": field.doc,
            }
        )
        offset += field.nbytes
    return {
        "name": format.name,
        "ggml_type": format.ggml,
        "bits_per_weight": format.bits_per_weight,
        "block_size": format.block_size,
        "block_bytes": format.block_bytes,
        "fields": fields,
        "summary": format.summary,
        "formula": format.formula,
    }


def print_all(described: list[dict[str, Any]]) -> None:
    rows = [
        (d["name"], f"{d['bits_per_weight']:.4g}", d["block_size"], d["block_bytes"], gguf_type(d), d["summary"])
        for d in described
    ]
    output.print_table(["format", ">bits/weight", ">block", ">bytes", ">gguf", "summary"], rows)


def print_one(d: dict[str, Any]) -> None:
    print(output.bold(d["name"]), "-", d["summary"])
    print()
    output.print_pairs(
        [
            ("bits per weight", f"{d['bits_per_weight']:.4g}"),
            ("block", f"{d['block_size']} weights in {d['block_bytes']} bytes"),
            ("GGUF type", gguf_type(d)),
            ("decode", d["formula"]),
        ]
    )
    print()
    rows = [(f["offset"], f["bytes"], f["name"], f"{f['count']} x {f['dtype']}", f["doc"]) for f in d["fields"]]
    output.print_table([">byte", ">bytes", "field", "holds", "meaning"], rows)


def gguf_type(d: dict[str, Any]) -> object:
    return "-" if d["ggml_type"] is None else d["ggml_type"]
