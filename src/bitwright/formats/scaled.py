"""Eight-bit floats under a shared scale, as other runtimes multiply them: w = scale * float8(code).

`float8_e4m3fn_row`: a scale for each row (output channel). `float8_e5m2_tensor`: one for the tensor.
`float8_e4m3fn_g128`: one for each group of 128 columns. Scales are float32; the largest magnitude under a scale becomes
the element's largest number, so nothing saturates.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from bitwright.formats.field import Bytes, Field
from bitwright.formats.floats import MiniFloat, float8_e4m3fn, float8_e5m2
from bitwright.formats.format import Codes, Floats, Scales
from bitwright.formats.rounding import inverse
from bitwright.formats.shared import SHARE, SHARES, Shared

ELEMENTS = {element.name: element for element in (float8_e4m3fn, float8_e5m2)}
PATTERN = re.compile(rf"({'|'.join(ELEMENTS)})_{SHARE}")
NAMES = f"<{'|'.join(ELEMENTS)}>_{SHARES}"


class ScaledFloat(Shared):
    """A code is the bits of an element; `scales` is (scale,)."""

    def __init__(self, element: MiniFloat, group: int, whole: bool) -> None:
        super().__init__(element.bits, group, whole)
        self.element, self.table = element, element.table
        self.largest = np.float32(element.magnitudes[element.finite - 1])
        self.name = f"{element.name}_{self.share}"
        self.fields = Field("scale", "f32", 1, "scale"), Field("codes", "u8", group, f"{element.name}, a byte each")
        self.formula = f"w = scale * {element.name}(code)"
        self.summary = f"{element.name} under a scale for {self.shared}"

    def span(self, low: Floats, high: Floats) -> Scales:
        return (np.maximum(-low, high) / self.largest,)

    def round(self, values: Floats, scales: Scales) -> Codes:
        return self.element.round((values * inverse(scales[0])).clip(-self.largest, self.largest), ())

    def unpack(self, data: Bytes) -> tuple[Codes, Scales]:
        scale, codes = self.split(data)
        return codes, (scale,)

    def pack(self, codes: Codes, scales: Scales) -> Bytes:
        return self.join(*scales, codes)


@cache
def parse(name: str) -> ScaledFloat | None:
    """The format of a lower-case name such as "float8_e4m3fn_row"; None if it is not one."""
    match = PATTERN.fullmatch(name)
    if match is None or int(match[2] or 0) % 8:
        return None
    return ScaledFloat(ELEMENTS[match[1]], int(match[2] or 0), name.endswith("tensor"))
