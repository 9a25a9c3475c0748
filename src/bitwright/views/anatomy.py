"""Real blocks of a model in any format, bit by bit: the explorer's anatomy of a block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.formats import Format, QuantizedTensor, anatomy
from bitwright.quantizers.tensor import can_encode, encode_rows
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.formats.field import Bytes
    from bitwright.io.gguf import GGUF, TensorInfo

FAMILIES = ("int4_sym_g32", "int4_asym_g64", "int8_sym_g128", "float8_e4m3fn_g128")  # one or two of each
OFFSET = re.compile(r"\(([qs]) - (\d+)\)")  # letters whose unpacked numbers have that subtracted
POINT = re.compile(r"\((?:sign \* )?grid\[index\](?: \+- 1/8)?\)")


def shown(file: GGUF) -> dict[str, Any]:
    """The formats a block of the model is shown in: formats[{name, summary, bits_per_weight, own (the file has tensors
    in it)}] from the fewest bits, first (the name of the one that most weights have; else "q4_k" or the first)."""
    held: dict[str, int] = {}
    for info in file.tensors.values():
        held[info.format.name] = held.get(info.format.name, 0) + int(np.prod(info.shape))
    rows = [{"name": f.name, "summary": f.summary, "bits_per_weight": f.bits_per_weight, "own": f.name in held}
            for f in sorted(_formats(file), key=lambda f: f.bits_per_weight)]  # fmt: skip
    names = [row["name"] for row in rows]
    first = max((n for n in held if n in names), key=held.__getitem__, default="q4_k" if "q4_k" in names else None)
    return plain({"formats": rows, "first": first or (names[0] if names else None)})


def names(file: GGUF) -> list[str]:
    """The names of those formats."""
    return [format.name for format in _formats(file)]


def block_anatomy(file: GGUF, name: str) -> dict[str, Any]:
    """format (`formats.describe`), tensor, own (the bytes are the file's), uses[{role (code, scale, min or none),
    places[weights of a code, groups of a scale or min]}] of each bit, bit 0 of byte 0 first; formula (letters in
    braces), blocks[{name, row, column, bytes, original (None if own), weights, numbers, scale, min, letters{letter:
    [one number, one a group, or one a weight]}, flips[for each bit the new numbers, scales or mins at its places]}].

    weight = scale * number + min, in float32. A min is None where the format has none."""
    format = formats.get(name)
    source = _source(file, format)
    own = source.format == format
    data = file.tensor(source.name)
    found = [_block(format, data, own, kind, at) for kind, at in _chosen(data, format)]
    uses = [{"role": use.role, "places": use.places} for use in anatomy.uses(format)]
    return plain({"format": formats.describe(format), "tensor": source.name, "own": own, "uses": uses,
                  "formula": template(format), "blocks": found})  # fmt: skip


def _formats(file: GGUF) -> Iterator[Format]:
    """Formats with blocks of several weights, of which the model can show one."""
    for format in (*formats.all(), *map(formats.get, FAMILIES)):
        if len(format.fields) > 1 and can_encode(format) and _sources(file, format):
            yield format


def _sources(file: GGUF, format: Format) -> list[TensorInfo]:
    """Matrices that are in the format or can be brought into it; those that are in it if there are any."""
    able = [t for t in file.tensors.values() if len(t.shape) > 1 and t.shape[-1] % format.block_size == 0]
    return [t for t in able if t.format == format] or able


def _source(file: GGUF, format: Format) -> TensorInfo:
    """A matrix of the middle of the model, the same for as many formats as possible."""
    able = _sources(file, format)
    able = [t for t in able if t.shape[-1] % 256 == 0] or able
    return able[len(able) // 2]


def _chosen(data: QuantizedTensor, format: Format) -> Iterator[tuple[str, tuple[int, int]]]:
    """Kinds of blocks, and where (row, block) the first 64 rows have one: the block whose largest weight is the median
    of all, and the one with the largest weight."""
    rows = data.data.reshape(-1, data.data.shape[-1])[:64]
    weights = np.abs(data.format.dequantize(rows)).reshape(len(rows), -1, format.block_size).max(axis=2)
    order = np.argsort(weights, axis=None)
    for kind, index in (("typical", order[len(order) // 2]), ("outlier", order[-1])):
        row, block = np.unravel_index(int(index), weights.shape)
        yield kind, (int(row), int(block))


def _block(format: Format, data: QuantizedTensor, own: bool, kind: str, at: tuple[int, int]) -> dict[str, Any]:
    row, index = at
    stored = data.data.reshape(-1, data.data.shape[-1])[row]
    column = index * format.block_size
    if own:
        original = None
        block = stored[index * format.block_bytes :][: format.block_bytes].copy()
    else:
        original = data.format.dequantize(stored)[column : column + format.block_size]
        block = encode_rows(original[None], format, threads=1)[0]
    parts, flips = anatomy.parts(format, block[None]), anatomy.flipped(format, block)
    changed = {"code": flips.numbers, "scale": flips.scale, "min": flips.minimum}
    return {
        "name": kind,
        "row": row,
        "column": column,
        "bytes": block,
        "original": original,
        "weights": format.dequantize(block),
        "numbers": parts.numbers[0],
        "scale": parts.scale[0],
        "min": None if parts.minimum is None else parts.minimum[0],
        "letters": letters(format, block),
        "flips": [_at(changed.get(use.role), bit, use.places) for bit, use in enumerate(anatomy.uses(format))],
    }


def _at(values: NDArray[Any] | None, bit: int, places: tuple[int, ...]) -> list[Any]:
    return [] if values is None else values[bit, list(places)].tolist()


# -- the formula, with numbers in it


def template(format: Format) -> str:
    """The right side of the format's formula, its letters in braces: numbers put in their place give the weight."""
    text = format.formula.removeprefix("w = ").partition(",")[0]
    text = POINT.sub("point", text).replace("table[q]", "number").replace("E4M3(d)", "d")
    text = re.sub(r"float\w+\(code\)", "number", text)
    text = re.sub(r"(\d) ([qs])\b", r"\1 * \2", text)
    return re.sub(r"\b(scale|zero|dmin|number|point|code|d|e|m|q|s)\b", r"{\1}", text)


def letters(format: Format, block: Bytes) -> dict[str, NDArray[Any]]:
    """The numbers of a block (block_bytes,) for each letter of `template`: one, one for each group, or one for each
    weight. "number" and "point" are what the code stands for."""
    wanted = set(re.findall(r"{(\w+)}", template(format)))
    codes, scales = format.unpack(block[None])
    parts = anatomy.parts(format, block[None])
    floats = [field.name for field in format.fields if field.dtype in ("f16", "f32")]
    names = {1: ["e" if "e" in wanted else "scale" if "scale" in wanted else "d"], 4: ["d", "dmin", "s", "m"],
             2: ["d", "m"] if "m" in floats else ["scale", "zero"] if "scale" in floats else ["d", "s"]}  # fmt: skip
    found = {name: values[0] for name, values in zip(names[len(scales)], scales, strict=True)}
    found |= {"q": codes[0], "code": codes[0] + found.get("zero", 0)}
    found |= dict.fromkeys(("number", "point"), parts.numbers[0])
    if "E4M3(d)" in format.formula:
        found["d"] = 2 * parts.scale[0]
    if "1/8" in format.formula:
        found["point"] = parts.numbers[0] / 8
    if "(2 q - 1)" in format.formula:
        found["q"] = (codes[0].astype(int) + 1) // 2
    for letter, offset in OFFSET.findall(format.formula):
        found[letter] = found[letter].astype(int) + int(offset)
    return {letter: found[letter] for letter in sorted(wanted)}
