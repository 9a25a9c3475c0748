"""Bytes of the memory that a model keeps of a sequence: keys and values, windows, latent vectors, recurrent states.

Every engine has its own layout: bitwright's is in native/attention.h and native/cache.cpp, llama.cpp's in
src/llama-kv-cache*.cpp and src/llama-memory-recurrent.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bitwright import formats
from bitwright.errors import UnknownNameError
from bitwright.formats import Format
from bitwright.kernels.memory import KV, PAGE

if TYPE_CHECKING:
    from bitwright.model.architectures.architecture import Architecture
    from bitwright.model.architectures.layers import Layer

BATCH = 512  # tokens that both engines run at once
GROUP, SCALED = 16, 32  # native/attention.h: kKeyGroup, kScaleDims
PAD = 256  # positions, in llama.cpp


def padded(n: int, to: int) -> int:
    """`n` rounded up to a multiple of `to`."""
    return -(-n // to) * to


def _bitwright(layer: Layer, kv: Format, context: int, batch: int) -> int:
    pages = -(-context // PAGE)
    if layer.window is not None and layer.window < context:
        pages = min(pages, (layer.window + batch - 3) // PAGE + 2)  # that a window and a batch can touch
    positions = pages * PAGE
    keys, values = layer.key_dim, padded(layer.value_dim, GROUP)
    if kv.block_size == 1:
        return layer.kv_heads * positions * 2 * (keys + values)
    blocks = sum(padded(dims, SCALED) // SCALED for dims in (layer.key_dim, layer.value_dim))
    codes = blocks * SCALED // 2 if kv.name == "q4_0" else keys + values
    return layer.kv_heads * positions * (codes + 2 * blocks)


def _llama_cpp(layer: Layer, kv: Format, context: int, batch: int) -> int:
    positions = padded(context, PAD)
    if layer.window is not None:
        positions = padded(min(positions, layer.window + batch), PAD)
    widths = (layer.kv_heads * layer.key_dim, layer.kv_heads * layer.value_dim)
    return positions * sum(kv.row_bytes(padded(width, kv.block_size)) for width in widths)


ENGINES: dict[str, Callable[[Layer, Format, int, int], int]] = {"bitwright": _bitwright, "llama.cpp": _llama_cpp}


def layer_bytes(layer: Layer, context: int, kv: str = "f16", batch: int = BATCH, engine: str = "llama.cpp") -> int:
    """Bytes that one layer keeps for one sequence of up to `context` tokens, read `batch` at a time."""
    if kv not in KV:
        raise UnknownNameError("key-value cache", kv, KV)
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    keeps = layer.kv_heads and layer.source is None
    own = ENGINES[engine](layer, formats.get(kv), context, batch) if keeps else 0
    return own + layer.state_bytes


def kv_bytes(
    shape: Architecture,
    context: int,
    kv: str = "f16",
    sequences: int = 1,
    batch: int = BATCH,
    engine: str = "llama.cpp",
) -> int:
    """Bytes that `sequences` sequences of up to `context` tokens each take. kv: the format of keys and values.

    A layer with a window keeps the window and one batch. Raises UnknownNameError for an unknown format or engine.
    """
    return sequences * sum(
        count * layer_bytes(layer, context, kv, batch, engine) for layer, count in shape.alike.items()
    )


def kv_bytes_per_token(shape: Architecture, kv: str = "f16") -> int:
    """Bytes that one more token adds while no window is full: the figure that is usually published."""
    return sum(
        formats.get(kv).row_bytes(padded(width, formats.get(kv).block_size))
        for layer in shape.layers
        if layer.source is None
        for width in (layer.kv_heads * layer.key_dim, layer.kv_heads * layer.value_dim)
    )


def kv_read(shape: Architecture, depth: int, kv: str = "f16") -> int:
    """Bytes that decoding one token after `depth` others reads of keys, values and states."""
    bits = formats.get(kv).bits_per_weight
    total = 0.0
    for layer in shape.layers:
        seen = depth + 1 if layer.window is None else min(depth + 1, layer.window)
        total += layer.kv_heads * (layer.key_dim + layer.value_dim) * seen * bits / 8 + layer.state_bytes
    return round(total)
