"""The memory that running a model takes: weights, keys and values, buffers, and the engine itself.

Checked against real allocations by benchmarks/memory.py and tests/hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bitwright import kernels
from bitwright.errors import UnknownNameError
from bitwright.formats import Format
from bitwright.hardware.kv import BATCH, PAD, kv_bytes, padded
from bitwright.hardware.weights import assigned
from bitwright.kernels.memory import PAGE
from bitwright.model.architectures.names import layer_number
from bitwright.model.architectures.outline import Outline
from bitwright.recipes.recipe import Assignment, Recipe

MIB = 1 << 20
SPLIT_TOKENS, RANGES, TILE_ROWS = 4, 32, 96  # native: kSplitTokens, kMostRanges, kTileRows
# Ends of names of tensors that have two dimensions, and are in no product.
UNPACKED = (".ssm_a", ".ssm_d", "ssm_conv1d.weight", "ssm_norm.weight", "shortconv.conv.weight")
EXPERT_ROWS = 64  # native: kExpertPanels panels of 16 rows, as on AVX2
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
    matrices = shape[0] if len(shape) > 2 else 1  # each of stacked experts is packed as its own matrix
    return kernels.bytes_read(format, shape[-2], shape[-1]) * matrices


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
    """What native/executor.cpp allocates: float32 values alive at once (the residual, its norm and a projection; q, k,
    v and attention's outputs; gate and up), inputs of products (kernels/input.inl), tables of angles, and attention's
    working memory. Of experts, values and inputs of each that a token uses, and in each thread some rows of their
    products. Of Mamba 2 a projection, and all of its parts twice."""
    width, used, attending = outline.width, outline.experts_used, [layer for layer in outline.layers if layer.kv_heads]
    dense, (expert, *_), fused, (own, *_), (each, *_), (mamba, *_), states = (
        sorted({t.shape[axis] for t in outline.tensors if t.name.replace("_shexp", "").endswith(f"{name}.weight")},
               reverse=True) or [0]
        for name, axis in (("ffn_down", -1), ("ffn_down_exps", -1), ("ffn_gate_up_exps", -2),
                           ("per_layer_model_proj", 0), ("inp_gate", 0), ("ssm_in", 0), ("ssm_out", -1))
    )  # fmt: skip
    head = max((layer.key_dim for layer in outline.layers), default=0)
    queries = {layer.heads * layer.key_dim for layer in attending if not layer.latent_rank}
    latent = _Latent.of(outline)
    floats = 3 * width + sum(q * (1 + (q != width)) for q in queries) + 2 * sum(dense)
    floats += sum({layer.kv_heads * (layer.key_dim + layer.value_dim) for layer in attending})
    floats += sum(key_dim for _, key_dim in {(layer.window, layer.key_dim) for layer in attending})
    floats += used * (2 * expert + (width if width != expert else 0)) + outline.experts
    floats += 2 * own + 2 * each + bool(own) * width  # embeddings of all layers, of one, and the product of that
    floats += used * fused[0] + bool(fused[0]) * width  # halves of what experts give, next to a dense feed-forward
    floats += 3 * mamba + sum(latent.values - {width, used * expert, *dense}) + 2 * latent.heads  # of one size, one
    as_floats = _read_as_floats(outline, assignments)
    read = {width, *queries, *dense, *states, *latent.inputs}
    inputs = sum(_input_bytes(columns, (columns, False) in as_floats) for columns in read)
    inputs += latent.heads * sum(_input_bytes(columns, (columns, True) in as_floats) for columns in latent.stacked)
    inputs += used * sum(_input_bytes(columns, (columns, True) in as_floats) for columns in {width, expert})
    partials = SPLIT_TOKENS * (RANGES + 1) * outline.heads * (head + 2)
    tile = TILE_ROWS * (3 * head + PAGE + 5) + 2 * PAGE * head  # a thread's working memory in attention
    tile += batch * EXPERT_ROWS if used else 0
    return batch * (4 * floats + inputs) + 4 * (partials + kernels.usable_cores() * tile)


class _Latent(NamedTuple):
    """What latent attention holds of a token at once: values, inputs of products, and inputs of the matrix that each of
    so many heads has; their widths."""

    values: set[int]
    inputs: set[int]
    stacked: set[int]
    heads: int

    @classmethod
    def of(cls, outline: Outline) -> _Latent:
        """Nothing, of a model without it."""
        shapes = {t.name.split(".", 2)[-1]: t.shape for t in outline.tensors if ".attn_" in t.name}
        if "attn_k_b.weight" not in shapes:
            return cls(set(), set(), set(), 0)
        (heads, rank, plain), (_, value, _) = (shapes[f"attn_{name}_b.weight"] for name in "kv")
        rotated, query = shapes["attn_kv_a_mqa.weight"][0] - rank, shapes.get("attn_q_a.weight", (0,))[0]
        own = {plain + rotated, plain, rotated, rank, rank + rotated, value}
        return cls(
            {heads * width for width in own} | {query, rank, rotated}, {query, heads * value}, {plain, rank}, heads
        )


def _input_bytes(columns: int, as_floats: bool) -> int:
    """Bytes of one token's input of a product: 64 for the codes of 32 columns, two more such groups for every 1024, and
    the values themselves if a weight reads floats."""
    return 64 * (padded(columns, 32) // 32 + 2 * padded(columns, 1024) // 1024) + as_floats * 4 * columns


def _read_as_floats(outline: Outline, assignments: Sequence[Assignment]) -> set[tuple[int, bool]]:
    """The columns of the weights that read an input as floats, not as codes, and whether these are experts."""
    shapes = {tensor.name: tensor.shape for tensor in outline.tensors}
    matrices = [a for a in assignments if len(shapes[a.tensor]) > 1 and not a.tensor.endswith(UNPACKED)]
    multiplied = [a for a in matrices if outline.share_read(a.tensor)]
    coded = {c.format for c in kernels.coverage({a.format for a in multiplied}) if c.decode == "integer dot"}
    return {(shapes[a.tensor][-1], len(shapes[a.tensor]) > 2) for a in multiplied if a.format.name not in coded}


def _llama_cpp(outline: Outline, context: int, batch: int, assignments: Sequence[Assignment]) -> int:
    """What llama.cpp reserves, in float32: for each token of a batch the logits and six times the width, or a layer's
    widest part and five times the width if that is more; and a 16-bit mask for each size of window."""
    output, inside = outline.vocabulary + 6 * outline.width, 5 * outline.width + widest(outline)
    windows = {layer.window for layer in outline.layers if layer.kv_heads}
    positions = sum(padded(context if w is None else min(context, w + batch), PAD) for w in windows)
    return batch * (4 * max(output, inside) + 2 * positions)


def widest(outline: Outline) -> int:
    """Values of a token that are alive at once in the widest part of a layer: gate, up and their product in a
    feed-forward, for as many experts as a token uses; or a state-space layer's projection, twice, and its convolved
    part."""
    most, used = 0, max(1, outline.experts_used)
    convolved = {layer_number(t.name): t.shape[0] for t in outline.tensors if t.name.endswith("ssm_conv1d.weight")}
    for tensor in outline.tensors:
        part = tensor.name.removesuffix(".weight").rpartition(".")[2]
        if part == "ffn_down":
            most = max(most, 3 * tensor.shape[-1])
        elif part == "ffn_down_exps":
            most = max(most, 3 * used * tensor.shape[-1])
        elif part == "ssm_in":
            most = max(most, 2 * tensor.shape[0] + convolved.get(layer_number(tensor.name), 0))
    return most


_COMPUTE = {"bitwright": _bitwright, "llama.cpp": _llama_cpp}
