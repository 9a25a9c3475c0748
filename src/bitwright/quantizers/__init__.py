"""How codes are chosen: for one tensor, or for a whole file streamed through."""

from bitwright.quantizers.file import QuantizeResult, quantize
from bitwright.quantizers.quantizer import Quantizer
from bitwright.quantizers.tensor import quantize_tensor

__all__ = ["QuantizeResult", "Quantizer", "quantize", "quantize_tensor"]
