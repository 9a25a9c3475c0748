"""How codes are chosen: rounding of one tensor, recipes for a model's tensors, a whole file streamed through them."""

from bitwright.quantizers.file import QuantizeResult, quantize
from bitwright.quantizers.recipe import Assignment, Override, Recipe, recipes
from bitwright.quantizers.rtn import quantize_tensor
from bitwright.quantizers.rules import Shape

__all__ = ["Assignment", "Override", "QuantizeResult", "Recipe", "Shape", "quantize", "quantize_tensor", "recipes"]
