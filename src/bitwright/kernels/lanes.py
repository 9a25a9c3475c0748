"""One block's dot product, instruction by instruction and lane by lane, written down in NumPy.

For one row and 32 columns, as programs on these processors do it. bitwright's native kernels take as many rows side by
side as a register has lanes, so that a lane is a row and nothing is summed across lanes, and store all but the widest
codes without a sign (`native/kernels/matmul_integer.inl`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.formats import Format
from bitwright.formats.field import Bytes

Array = NDArray[Any]
Sources = dict[str, list[list[int]]]

COLUMNS = 32
FORMATS = ("q4_0", "q4_1", "q8_0", "iq4_nl", "mxfp4")  # blocks of 32
TARGETS = ("avx2", "vnni", "neon", "half", "fp4")
OFFSETS = {"q4_0": 8}  # what is subtracted from the stored codes
ALL = [list(range(COLUMNS))]


@dataclass(frozen=True)
class Register:
    """Values in lanes of one type (u8, s8, s16, s32, f16, f32, f4). sources: for each lane the lanes it comes from, by
    the name of their register. role: the colour it is shown in."""

    name: str
    type: str
    lanes: Array
    sources: Sources = field(default_factory=dict)
    role: str = "code"


@dataclass(frozen=True)
class Step:
    """An instruction: what it does, the registers that it writes, and other numbers that count."""

    kind: str
    registers: tuple[Register, ...]
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Dot:
    """The steps, and their result."""

    steps: tuple[Step, ...]
    result: float


def available(format: Format, target: str) -> bool:
    """Whether a target multiplies the format: of these formats a GPU has only MXFP4."""
    return target != "fp4" or format.name == "mxfp4"


def dot(format: Format, block: Bytes, x: NDArray[np.float32], target: str) -> Dot:
    """The dot product of a block (block_bytes,) with inputs x (32,), as `target` computes it: "avx2", "vnni" and "neon"
    in integers, "half" in 16-bit floats, "fp4" in 4-bit floats on both sides."""
    if target == "fp4":
        return _fp4(block, x)
    return _half(format, block, x) if target == "half" else _Integer(format, block, x).dot(target)


def saturated(sums: Array) -> NDArray[np.int16]:
    """Sums as vpmaddubsw stores them: in 16 bits, held at the ends."""
    return sums.clip(-32768, 32767).astype(np.int16)


def _from(each: int, *names: str) -> Sources:
    """Every lane comes from `each` neighbours of these registers."""
    return {name: [list(range(lane, lane + each)) for lane in range(0, COLUMNS, each)] for name in names}


def _loaded(format: Format, block: Bytes) -> Step:
    stored = block[-format.fields[-1].nbytes :]  # the last field holds the codes
    return Step("load", (Register("bytes", "u8", stored),), {"bits": 8 * len(stored) // COLUMNS})


def _unpacked(format: Format, block: Bytes) -> list[Step]:
    stored = _loaded(format, block).registers[0].lanes
    if format.name == "q8_0":
        return []
    codes = np.concatenate([stored & 15, stored >> 4])
    halves = {"bytes": [[lane % 16] for lane in range(COLUMNS)]}
    steps = [Step("unpack", (Register("codes", "u8", codes, halves),))]
    if format.table is not None:
        numbers = format.table[codes].astype(np.int8)
        steps.append(Step("look-up", (Register("numbers", "s8", numbers, _from(1, "codes")),)))
    return steps


def _scale(format: Format, block: Bytes) -> tuple[np.float32, np.float32]:
    scale, minimum = format.steps(format.unpack(block[None])[1])
    return np.float32(scale.flat[0]), np.float32(0 if minimum is None else minimum.flat[0])


class _Integer:
    """Int8 on both sides, on a processor."""

    def __init__(self, format: Format, block: Bytes, x: NDArray[np.float32]) -> None:
        self.scale, self.minimum = _scale(format, block)
        self.scale_x = np.float32(np.abs(x).max() / 127)
        self.x = np.rint(x / self.scale_x if self.scale_x else x).astype(np.int32)
        inputs = Register("input", "f32", x, role="reference"), Register("x", "s8", self.x, _from(1, "input"))
        self.steps = [Step("round", inputs, {"scale": float(self.scale_x)}), _loaded(format, block)]
        self.steps += _unpacked(format, block)
        last = self.steps[-1].registers[0]
        self.name, self.offset = last.name, OFFSETS.get(format.name, 0)
        self.signed = format.name == "q8_0" or format.table is not None
        self.weights = (last.lanes.view(np.int8) if format.name == "q8_0" else last.lanes).astype(np.int32)

    def dot(self, target: str) -> Dot:
        sums: Register = getattr(self, target)()
        added = int(sums.lanes.sum())
        self._write("add-lanes", Register("sum", "s32", np.array([added]), {sums.name: [list(range(len(sums.lanes)))]}))
        inputs, last = int(self.x.sum()), "sum"
        if self.offset:
            added, last = added - self.offset * inputs, "sum, as it should be"
            self._write("take-out", Register(last, "s32", np.array([added]), {"sum": [[0]]}),
                        offset=self.offset, inputs=inputs)  # fmt: skip
        result = np.float32(added) * (self.scale * self.scale_x)
        if self.minimum:
            result += self.minimum * (self.scale_x * np.float32(inputs))
        scales = {"scale": self.scale, "scale_x": self.scale_x, "minimum": self.minimum}
        numbers = {name: float(value) for name, value in scales.items()} | {"sum": added, "inputs": inputs}
        scaled = Register("result", "f32", np.array([result]), {last: [[0]]}, "scale")
        self._write("scale", scaled, **numbers)
        return Dot(tuple(self.steps), float(result))

    def avx2(self) -> Register:
        """One side has no signs, and pairs are added in 16 bits."""
        w, x, names = self.weights, self.x, (self.name, "x")
        if self.signed:
            w, x, names = np.abs(w), np.sign(w) * x, ("|w|", "±x")
            self._write("signs", Register("|w|", "u8", w, _from(1, self.name)),
                        Register("±x", "s8", x, _from(1, self.name, "x")))  # fmt: skip
        twos = saturated((w * x).reshape(16, 2).sum(axis=1))
        pairs = self._write("pairs", Register("pairs", "s16", twos, _from(2, *names)))
        fours = pairs.lanes.astype(np.int32).reshape(8, 2).sum(axis=1)
        return self._write("widen", Register("sums", "s32", fours, {"pairs": _from(2, "pairs")["pairs"][:8]}))

    def vnni(self) -> Register:
        """One side has no signs, and fours are added in 32 bits."""
        w, name = self.weights, self.name
        if self.signed:
            w, name, self.offset = w + 128, "w + 128", 128
            self._write("shift-up", Register(name, "u8", w, _from(1, self.name)))
        fours = (w * self.x).reshape(8, 4).sum(axis=1)
        return self._write("fours", Register("sums", "s32", fours, _from(4, name, "x")))

    def neon(self) -> Register:
        """Both sides may have signs; registers hold 16 bytes."""
        fours, sources = (self.weights * self.x).reshape(2, 4, 4).sum(axis=2), _from(4, self.name, "x")
        first, other = ({name: lanes[at : at + 4] for name, lanes in sources.items()} for at in (0, 4))
        self._write("half", Register("sums, first half", "s32", fours[0], first))
        other["sums, first half"] = [[lane] for lane in range(4)]
        return self._write("other-half", Register("sums", "s32", fours.sum(axis=0), other))

    def _write(self, kind: str, *registers: Register, **numbers: float) -> Register:
        self.steps.append(Step(kind, registers, numbers))
        return registers[-1]


def _half(format: Format, block: Bytes, x: NDArray[np.float32]) -> Dot:
    """A GPU without the format: every weight becomes a 16-bit float first."""
    weights, inputs = format.dequantize(block).astype(np.float16), x.astype(np.float16)
    steps = [_loaded(format, block), *_unpacked(format, block)]
    products = weights.astype(np.float32) * inputs.astype(np.float32)
    converted = Register("weights", "f16", weights, _from(1, steps[-1].registers[0].name), "scale")
    multiplied = Register("products", "f32", products, _from(1, "weights", "input"))
    steps += [
        Step("convert", (converted,)),
        Step("multiply", (Register("input", "f16", inputs, role="reference"), multiplied)),
        Step("add-up", (Register("result", "f32", np.array([products.sum()]), {"products": ALL}, "scale"),)),
    ]
    return Dot(tuple(steps), float(products.sum()))


def _fp4(block: Bytes, x: NDArray[np.float32]) -> Dot:
    """A GPU with MXFP4: it multiplies the codes as they are, if the inputs are MXFP4 too."""
    format = formats.get("mxfp4")
    sides = block, format.quantize(x)
    codes = [format.unpack(side[None])[0][0] for side in sides]
    scales = [float(2 * _scale(format, side)[0]) for side in sides]  # the table holds twice the numbers
    weights, inputs = (format.dequantize(side).astype(np.float64) for side in sides)
    result = np.float32(weights @ inputs)
    rounded = Register("input", "f32", x, role="reference"), Register("x", "f4", codes[1], _from(1, "input"))
    halves = {"bytes": [[lane % 16] for lane in range(COLUMNS)]}
    steps = (
        Step("round-4", rounded, {"scale": scales[1]}),
        _loaded(format, block),
        Step("nothing", (Register("codes", "f4", codes[0], halves),)),
        Step("block-scale", (Register("result", "f32", np.array([result]), {"codes": ALL, "x": ALL}, "scale"),),
             {"scale": scales[0], "scale_x": scales[1]}),
    )  # fmt: skip
    return Dot(steps, float(result))
