"""docs/formats.md, derived from the declarations: `python -m bitwright.formats.document > docs/formats.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bitwright import formats

INTEGERS = ("int4_sym_g32", "int4_asym_g128", "int8_sym_row", "int3_asym_tensor")  # shown of each family
FLOATS = ("float8_e4m3fn_g128", "float8_e4m3fn_row", "float8_e5m2_tensor")

HEAD = """\
# Number formats

Generated from `src/bitwright/formats` by `make docs`; a test fails if it is stale. `bitwright formats NAME` shows one
format.

A format stores weights in blocks. Every block holds codes (small integers) and the scales that decode them:
`weight = scale * code + min`, computed in float32. Element formats have no scale: each code is a number by itself. Bits
per weight count all stored bits, scales included. Fields are little-endian. Case does not matter in names.

`quantize` refuses weights that are NaN, infinite or too large for the format, and names their index. A block whose
scale is too small to be stored becomes zero. float6 and float4 formats, which have neither infinity nor NaN, saturate.
"""

AFFINE = """\
## Integer affine formats

`int<bits>_<sym|asym>_<share>`: 2 to 8 bits; symmetric, or asymmetric with an integer zero-point; one scale for each
group of columns (`g32`, any multiple of 8), for each `row`, or for the whole `tensor` (repeated in every row, so that
any row can be read by itself). The number of columns must be a multiple of 8. Examples:
"""

SCALED = """\
## Scaled 8-bit floats

`<float8_e4m3fn|float8_e5m2>_<share>`: FP8 as other runtimes store it, under a float32 scale for each group, row or
tensor. Examples:
"""


def document() -> str:
    """The whole text of docs/formats.md."""
    descriptions = [formats.describe(format) for format in formats.all()]
    integers, floats = ([formats.describe(formats.get(name)) for name in family] for family in (INTEGERS, FLOATS))
    lines = [HEAD, *table(descriptions), "", AFFINE, *table(integers), "", SCALED, *table(floats)]
    for description in (*descriptions, *integers, *floats):
        lines += ["", *section(description)]
    return "\n".join(lines) + "\n"


def table(descriptions: list[dict[str, Any]]) -> Iterator[str]:
    """A Markdown table, one row per format."""
    yield "| format | GGUF id | block | bytes | bits per weight | encodes | |"
    yield "| --- | ---: | ---: | ---: | ---: | --- | --- |"
    for d in descriptions:
        cells = (
            f"[{d['name']}](#{d['name']})",
            "" if d["ggml"] is None else d["ggml"],
            d["block_size"] or "row",
            d["block_bytes"] or "",
            f"{d['bits_per_weight']:g}",
            "yes" if d["encode"] else "no",
            d["summary"],
        )
        yield f"| {' | '.join(str(cell) for cell in cells)} |"


def section(d: dict[str, Any]) -> Iterator[str]:
    """One format: its summary, decode formula and byte map."""
    yield f"### {d['name']}"
    yield ""
    also = f" Also {', '.join(d['aliases'])}." if d["aliases"] else ""
    yield f"{d['summary'][0].upper()}{d['summary'][1:]}.{also}"
    yield ""
    yield f"`{d['formula']}`"
    yield ""
    yield "| bytes | field | type | what |"
    yield "| --- | --- | --- | --- |"
    for field in d["fields"]:
        first, count = field["offset"], field["bytes"]
        place = f"{first} to the end" if count is None else str(first) if count == 1 else f"{first}-{first + count - 1}"
        type = field["type"] if field["count"] == 1 else f"{field['type']}[{field['count'] or ''}]"
        layout = f" ({field['layout']})" if field["layout"] else ""
        yield f"| {place} | {field['name']} | {type} | {field['doc']}{layout} |"


if __name__ == "__main__":
    print(document(), end="")
