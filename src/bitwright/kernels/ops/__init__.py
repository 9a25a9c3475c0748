"""The operations that make up a model's step, each declared once, and the `Step` that records them."""

from bitwright.kernels.ops.attention import Attention
from bitwright.kernels.ops.convolution import Convolution
from bitwright.kernels.ops.declaration import OPS, Array, Buffer, Call, Op
from bitwright.kernels.ops.delta_rule import Decay, DeltaRule
from bitwright.kernels.ops.elementwise import Add, Columns, Glu, Join, Scale, Select, Softcap, Temperature
from bitwright.kernels.ops.experts import Combine, Experts, Gate
from bitwright.kernels.ops.linear import Embed, Hidden, Linear
from bitwright.kernels.ops.norm import RmsNorm
from bitwright.kernels.ops.rope import Rope
from bitwright.kernels.ops.route import Every, Reweigh, Route
from bitwright.kernels.ops.scan import Scan
from bitwright.kernels.ops.step import Step, widths

__all__ = [
    "OPS", "Add", "Array", "Attention", "Buffer", "Call", "Columns", "Combine", "Convolution", "Decay", "DeltaRule",
    "Embed", "Every", "Experts", "Gate", "Glu", "Hidden", "Join", "Linear", "Op", "Reweigh", "RmsNorm", "Rope", "Route",
    "Scale", "Scan", "Select", "Softcap", "Step", "Temperature", "widths",
]  # fmt: skip
