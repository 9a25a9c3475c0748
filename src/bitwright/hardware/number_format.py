"""A number format as hardware sees it: bits on the bus, and the element that a multiplier would need to accept.

`data/formats.json` says which element's codes a format stores. Names are those of `bitwright formats`, and those of the
chips (fp8_e4m3, tf32, int1), some of which no file format has.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitwright import formats
from bitwright.errors import UnknownNameError, UnsupportedError
from bitwright.formats import Format
from bitwright.formats.affine import Affine
from bitwright.formats.scaled import ScaledFloat
from bitwright.formats.shared import Shared
from bitwright.hardware import schema
from bitwright.hardware.devices import FORMATS
from bitwright.recipes.file_types import FILE_TYPES


@dataclass(frozen=True)
class NumberFormat:
    """element: the format that a chip would multiply natively; None if no chip multiplies such codes (5-bit integers,
    points of a grid). format: the file format; for a bare element the one that stores it, or None."""

    name: str
    element: str | None
    bits: float
    format: Format | None

    @property
    def scaled(self) -> bool:
        """Whether each block of weights has a scale."""
        if self.format is None or self.format.name != self.name:
            return self.name == "mxfp8"
        return isinstance(self.format, Shared) or (self.format.block_size != 1 and not self.name.startswith("float"))

    @property
    def tokens(self) -> frozenset[str]:
        """The names that rules of engines may use for it: its own, its element's, its family's; "coded" for quantized
        GGUF types."""
        found = {self.name, self.element or self.name}
        if self.element in ("int4", "int8") and self.name == self.element:
            found.add(f"{self.element}_family")
        if isinstance(self.format, Affine):
            found.add(f"int{self.format.bits}_family")
        elif self.format is not None and self.format.ggml is not None and self.element not in ("fp32", "fp16", "bf16"):
            found.add("coded")
        return frozenset(found)

    def described(self) -> str:
        """Bits per weight, block layout and summary, in one line."""
        f = self.format
        if f is None or f.name != self.name:
            return f"{self.bits:g} bits per weight"
        block = f": {f.block_size} weights in {f.block_bytes} bytes" if f.block_size > 1 else ""
        return f"{self.bits:g} bits per weight{block} ({f.summary})"


def number_format(name: str) -> NumberFormat:
    """The format of that name, in upper or lower case; for a recipe (q4_k_m), the format of most of its weights.

    Raises UnknownNameError with close names.
    """
    data, key = schema.data("formats.json"), name.lower()
    key = FILE_TYPES[key].base if key in FILE_TYPES else key
    if key in data["bits"]:
        like = data["like"].get(key)
        return NumberFormat(key, key, data["bits"][key], formats.get(like) if like else None)
    try:
        format = formats.get(data["known_as"].get(key, key))
    except UnsupportedError as error:
        raise UnknownNameError("format", name, dict.fromkeys([*FORMATS, *error.supported])) from None
    element = data["elements"].get(format.element.name if isinstance(format, ScaledFloat) else format.name)
    if isinstance(format, Affine):
        element = f"int{format.bits}" if format.bits in (4, 8) else None
    return NumberFormat(format.name, element, format.bits_per_weight, format)
