"""What the bytes of a weight mean: one declaration for each number format, decoded and encoded in NumPy.

>>> q4_k = get("q4_k")
>>> q4_k.block_size, q4_k.block_bytes, q4_k.bits_per_weight
(256, 144, 4.5)
>>> packed = q4_k.quantize(weights)         # float32 (rows, columns) -> uint8 (rows, row bytes)
>>> weights = q4_k.dequantize(packed)
"""

from bitwright.errors import UnknownNameError
from bitwright.formats import affine, codebook, format, grids, kquants, legacy, mx, scaled, ternary, tiny  # noqa: F401
from bitwright.formats.describe import describe
from bitwright.formats.field import Field
from bitwright.formats.format import Format, from_ggml
from bitwright.formats.format import all_formats as all
from bitwright.formats.tensor import QuantizedTensor

FAMILIES = affine.NAMES, scaled.NAMES  # of formats made on demand

__all__ = ["FAMILIES", "Field", "Format", "QuantizedTensor", "all", "describe", "from_ggml", "get"]


def get(name: str) -> Format:
    """The format called `name`, in any case ("Q4_K", "q4_k", "f16", "int4_sym_g32"). Raises UnknownNameError with
    the nearest names."""
    known = format.find(name) or affine.parse(name.lower()) or scaled.parse(name.lower())
    if known is None:
        family = [affine.NAMES] if name.lower().startswith("int") else []
        raise UnknownNameError("format", name, [*(f.name for f in all()), *FAMILIES], family)
    return known
