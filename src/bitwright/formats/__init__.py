"""What the bytes of a weight mean: one declaration for each number format, decoded and encoded in NumPy."""

from bitwright.formats.format import Field, Format, from_ggml
from bitwright.formats.format import all_formats as all
from bitwright.formats import floats, legacy  # isort: skip  # noqa: F401  (importing a family registers it)
from bitwright.formats.format import find
from bitwright.formats.tensor import QuantizedTensor

from bitwright.errors import UnsupportedError

__all__ = ["Field", "Format", "QuantizedTensor", "all", "from_ggml", "get"]


def get(name: str) -> Format:
    """The format called `name`, in any case ("Q4_K", "q4_k", "f16"). Raises UnsupportedError listing the names."""
    format = find(name)
    if format is None:
        raise UnsupportedError("format", name, [f.name for f in all()])
    return format
