"""The memory that running a model takes: weights, keys and values, buffers, and the engine itself.

Checked against real allocations by benchmarks/memory.py and tests/hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bitwright import kernels
from bitwright.errors import UnknownNameError
from bitwright.formats import Format
from bitwright.hardware.buffers import buffer_bytes
from bitwright.hardware.kv import BATCH, PAD, kv_bytes, padded
from bitwright.hardware.weights import assigned
from bitwright.model.architectures.outline import Outline
from bitwright.recipes.recipe import Assignment, Recipe

MIB = 1 << 20
# Ends of names of tensors that have two dimensions, and are in no product.
UNPACKED = (".bias", ".ssm_a", ".ssm_d", "ssm_conv1d.weight", "ssm_norm.weight", "shortconv.conv.weight")
# What a process takes in addition to the model, measured: bitwright as Python with NumPy and an opened model
# (benchmarks/memory.py), llama.cpp as llama-bench with a model of one megabyte. A device's driver takes more: DRIVER.
OVERHEAD = {"bitwright": 38 * MIB, "llama.cpp": 32 * MIB}
DRIVER = 400 * MIB  # of a CUDA or HIP process on its device; general knowledge, 300 to 500 MiB


@dataclass(frozen=True)
class Footprint:
    """Bytes. compute: buffers for one batch. overhead: what the engine takes for any model."""

    weights: int
    kv: int
    compute: int
    overhead: int

    @property
    def total(self) -> int:
        """All parts together, in bytes."""
        return self.weights + self.kv + self.compute + self.overhead


def memory(
    outline: Outline,
    recipe: str | Recipe | Sequence[Assignment] | None = None,
    context: int | None = None,
    kv: str = "f16",
    sequences: int = 1,
    batch: int = BATCH,
    engine: str = "llama.cpp",
) -> Footprint:
    """The memory of a model in the formats of a recipe (None: those it has), with room for `sequences` sequences of up
    to `context` tokens (default: what it was trained on), read `batch` at a time.

    Raises UnknownNameError for an unknown recipe, format of keys and values, or engine.
    """
    context = context or outline.context
    assignments = assigned(outline, recipe)
    if engine not in OVERHEAD:
        raise UnknownNameError("engine", engine, OVERHEAD)
    return Footprint(
        weights=resident_weights(outline, assignments, engine),
        kv=kv_bytes(outline, context, kv, sequences, batch, engine),
        compute=compute_bytes(outline, context, batch, engine, assignments),
        overhead=OVERHEAD[engine],
    )


def longest_context(
    outline: Outline,
    recipe: str | Recipe | Sequence[Assignment] | None,
    budget: int,
    kv: str = "f16",
    sequences: int = 1,
    batch: int = BATCH,
    engine: str = "llama.cpp",
) -> int:
    """The longest context, up to what the model was trained on, that fits `budget` bytes; 0 if none does."""
    recipe = assigned(outline, recipe)
    least = memory(outline, recipe, 1, kv, 0, batch, engine)
    room = budget - least.total + least.compute
    low, high = 0, outline.context
    while low < high:
        middle = (low + high + 1) // 2
        compute = compute_bytes(outline, middle, batch, engine, recipe)
        if kv_bytes(outline, middle, kv, sequences, batch, engine) + compute <= room:
            low = middle
        else:
            high = middle - 1
    return low


def resident_weights(outline: Outline, assignments: Sequence[Assignment], engine: str) -> int:
    """Bytes of weights in memory: `resident` of every tensor."""
    shapes = {tensor.name: tensor.shape for tensor in outline.tensors}
    return sum(resident(outline, a.tensor, shapes[a.tensor], a.format, engine) for a in assignments)


def resident(outline: Outline, tensor: str, shape: Sequence[int], format: Format, engine: str) -> int:
    """Bytes of one tensor in memory. bitwright packs the matrices it multiplies, and looks the embedding's rows up in
    the file, whose pages it then frees. llama.cpp holds everything as it is stored, except for layers that predict
    further tokens, which it does not load."""
    read = outline.share_read(tensor) > 0
    if engine == "llama.cpp":
        return format.stored_bytes(shape) if read or not tensor.startswith("blk.") else 0
    if not read or len(shape) < 2 or tensor.endswith(UNPACKED):
        return 0
    return kernels.packed_bytes(format, shape)


def compute_bytes(
    outline: Outline,
    context: int,
    batch: int = BATCH,
    engine: str = "llama.cpp",
    recipe: str | Recipe | Sequence[Assignment] | None = None,
) -> int:
    """Bytes of the buffers that one batch needs, with weights in the formats of a recipe (None: those they have)."""
    return _COMPUTE[engine](outline, context, min(batch, context), assigned(outline, recipe))


def _bitwright(outline: Outline, context: int, batch: int, assignments: Sequence[Assignment]) -> int:
    """What native/executor.cpp allocates; of a model that bitwright does not run, what llama.cpp would."""
    found = buffer_bytes(outline, batch, assignments)
    return _llama_cpp(outline, context, batch, assignments) if found is None else found


def _llama_cpp(outline: Outline, context: int, batch: int, assignments: Sequence[Assignment]) -> int:
    """What llama.cpp reserves, in float32: for each token of a batch the logits and six times the width, or a layer's
    widest part and five times the width if that is more; and a 16-bit mask for each size of window."""
    output, inside = outline.vocabulary + 6 * outline.width, 5 * outline.width + outline.widest
    windows = {layer.window for layer in outline.layers if layer.kv_heads}
    positions = sum(padded(context if w is None else min(context, w + batch), PAD) for w in windows)
    return batch * (4 * max(output, inside) + 2 * positions)


_COMPUTE = {"bitwright": _bitwright, "llama.cpp": _llama_cpp}
