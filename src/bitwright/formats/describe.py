"""A format's declaration as plain JSON: for `bitwright formats NAME`, the documents and the explorer's byte map."""

from __future__ import annotations

from typing import Any

from bitwright.formats.field import Field
from bitwright.formats.format import Format


def describe(format: Format) -> dict[str, Any]:
    """name, aliases, ggml (GGUF id or None), block_size and block_bytes (None: a block is a row), bits_per_weight,
    groups, encode, summary, formula, fields[{name, type, count, offset, bytes, bits, run, layout, doc}].

    A field's layout puts `bits` and `run` in words (`bits.py`); both are empty in fields that are
    not packed codes."""
    fields, offset = [], 0
    for field in format.fields:
        fields.append(
            {
                "name": field.name,
                "type": field.dtype,
                "count": field.count or None,
                "offset": offset,
                "bytes": field.nbytes or None,
                "bits": field.bits or None,
                "run": field.run if field.bits else None,
                "layout": layout(field),
                "doc": field.doc,
            }
        )
        offset += field.nbytes
    return {
        "name": format.name,
        "aliases": list(format.aliases),
        "ggml": format.ggml,
        "block_size": format.block_size or None,
        "block_bytes": format.block_bytes if format.block_size else None,
        "bits_per_weight": format.bits_per_weight,
        "groups": format.groups,
        "encode": format.encodes or format.compiled,
        "summary": format.summary,
        "formula": format.formula,
        "fields": fields,
    }


def layout(field: Field) -> str:
    """Which bits of the field's bytes hold which code, in words; empty for a field that is not packed."""
    bits, run = field.bits, field.run
    if not bits:
        return ""
    if run == 1:
        which = "bit i" if bits == 1 else f"bits {bits}i to {bits}i+{bits - 1}"
        return f"{which} of the field, from the lowest of its first byte: code i"
    planes = 8 // bits
    parts = [f"{_span(plane * bits, bits)} code j{f'+{plane * run}' if plane else ''}" for plane in range(planes)]
    text = f"byte j < {run}: {', '.join(parts)}"
    return text if field.nbytes == run else f"{text}; every further {run} bytes: the next {planes * run} codes"


def _span(start: int, bits: int) -> str:
    return f"bit {start}" if bits == 1 else f"bits {start}-{start + bits - 1}"
