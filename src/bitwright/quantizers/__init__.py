"""How codes are chosen: one tensor, or a whole file streamed through."""

from bitwright.quantizers.file import QuantizeResult, quantize
from bitwright.quantizers.tensor import quantize_tensor

__all__ = ["QuantizeResult", "quantize", "quantize_tensor"]
