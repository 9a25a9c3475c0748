"""Which formats a tensor may take: families of formats, and those of them that its shape and role allow."""

from __future__ import annotations

from collections.abc import Iterable

from bitwright import formats
from bitwright.errors import UnknownNameError
from bitwright.formats import Format
from bitwright.formats.tensor import HasFormat
from bitwright.quantizers.tensor import can_encode
from bitwright.recipes.roles import is_quantized

FAMILIES = {
    "k": ("q8_0", "q6_k", "q5_k", "q4_k", "q3_k", "q2_k", "q5_1", "q5_0", "q4_1", "q4_0"),
    "iq": ("iq4_xs", "iq4_nl", "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"),
    "fp4": ("mxfp4", "nvfp4"),
    "2bit": ("q2_0",),
}
HALF = 16  # bits per weight; what has no more is the best choice as it is


def formats_for(tensor: HasFormat, architecture: str, families: Iterable[str] = tuple(FAMILIES)) -> tuple[Format, ...]:
    """The formats that a tensor may take, smallest first, those of one size in the order of FAMILIES.

    Its own format alone where llama.cpp requires that. Otherwise those of the families whose blocks fit its rows and
    that make it smaller, and as the best choice its own format, which costs no error and no time; float16 in place of
    float32, which no one can tell from it. Raises UnknownNameError for an unknown family.
    """
    chosen = dict.fromkeys(families)
    for name in chosen:
        if name not in FAMILIES:
            raise UnknownNameError("family of formats", name, FAMILIES)
    if not is_quantized(tensor.name, tensor.shape, architecture):
        return (tensor.format,)
    best = tensor.format if tensor.format.bits_per_weight <= HALF else formats.get("f16")
    found = [formats.get(name) for family in FAMILIES if family in chosen for name in FAMILIES[family]]
    fits = [f for f in found if can_encode(f) and tensor.shape[-1] % f.block_size == 0]
    smaller = (f for f in fits if f.bits_per_weight < best.bits_per_weight)
    return (*sorted(smaller, key=lambda f: f.bits_per_weight), best)
