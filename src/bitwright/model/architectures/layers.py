"""The layers of a model, read from GGUF metadata and the names of the layer's tensors.

Keys and patterns: llama.cpp's src/llama-hparams.cpp and src/models/*.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bitwright.formats.tensor import HasShape
from bitwright.io.values import MAX_TOKENS, Values
from bitwright.model.architectures.names import layer_number

# Every n-th layer sees all tokens if the file does not say which do. In FIRST it is the first of each n layers.
PATTERNS = {
    "afmoe": 4, "cohere2": 4, "cohere2moe": 4, "exaone-moe": 4, "exaone4": 4, "gemma-embedding": 6, "gemma2": 2,
    "gemma3": 6, "gemma3n": 5, "gemma4": 6, "gpt-oss": 2, "laguna": 4, "llama4": 4, "mellum": 4, "muse-glimmer": 4,
    "olmo2": 4, "plamo3": 8, "smallthinker": 4,
}  # fmt: skip
FIRST = {"cohere2moe", "laguna", "smallthinker"}
ALL_WINDOWED = {"lfm2", "phi3"}  # every attention has the file's window
# Whatever the file says:
NEVER_WINDOWED = {
    "deepseek2", "glm4", "glm4moe", "granite", "granitehybrid", "lfm2moe", "llama", "mistral3", "qwen2", "qwen2moe",
    "qwen3", "qwen35", "qwen35moe", "qwen3moe", "qwen3next", "smollm3",
}  # fmt: skip
Kind = Literal["attention", "latent", "recurrent", "convolution", "none", "prediction"]


@dataclass(frozen=True)
class Layer:
    """One layer. `heads` heads of queries attend to what the layer remembers: for each token `kv_heads` keys of
    `key_dim` values and as many values of `value_dim`, for the last `window` tokens (None: all); and `state_bytes` for
    the sequence as a whole, whatever its length.

    A latent layer keeps one vector of `key_dim` per token; keys and values are made from its first `latent_rank`
    values. A layer with a `source` attends to the keys and values of that earlier layer and keeps none. A layer of kind
    "none" needs no memory. A prediction layer guesses further tokens; engines do not run it while decoding.
    """

    kind: Kind
    heads: int = 0
    kv_heads: int = 0
    key_dim: int = 0
    value_dim: int = 0
    window: int | None = None
    state_bytes: int = 0
    latent_rank: int = 0
    source: int | None = None


def read_layers(values: Values, tensors: Iterable[HasShape]) -> tuple[Layer, ...]:
    """The layers of a GGUF file with these values and tensors. FileFormatError for impossible values."""
    tensors = list(tensors)
    count = values.integer("block_count", low=1, high=max(1, len(tensors)))
    rows: list[dict[str, int]] = [{} for _ in range(count)]
    for tensor in tensors:
        if 0 <= (number := layer_number(tensor.name)) < count:
            rows[number][tensor.name.split(".", 2)[-1].removesuffix(".weight")] = tensor.shape[0]
    heads = values.per_layer("attention.head_count", count, 0)
    kv_heads = values.per_layer("attention.head_count_kv", count, heads)
    windows = _windows(values, count)
    predicting = count - values.integer("nextn_predict_layers", 0)
    sharing = count - values.integer("attention.shared_kv_layers", 0)
    found = []
    for index, inside in enumerate(rows):
        if index >= predicting:
            found.append(Layer("prediction"))
        elif index >= sharing:
            found.append(_sharing(found[:sharing], heads[index], windows[index]))
        else:
            found.append(_layer(values, inside, heads[index], kv_heads[index], windows[index]))
    return tuple(found)


def _sharing(earlier: Sequence[Layer], heads: int, window: int | None) -> Layer:
    """A layer that attends to the keys and values of the last of these that has the same window; "none" if none has."""
    for index, layer in reversed([*enumerate(earlier)]):
        if layer.kind == "attention" and layer.window == window:
            return replace(layer, heads=heads, state_bytes=0, source=index)
    return Layer("none", heads)


def _layer(values: Values, rows: Mapping[str, int], heads: int, kv_heads: int, window: int | None) -> Layer:
    """rows: of the layer's tensors, by their names within it. kv_heads 0: the layer keeps no keys and values."""
    if "shortconv.conv" in rows:
        kernel = values.integer("shortconv.l_cache", 3, low=1)
        return Layer("convolution", state_bytes=4 * rows["shortconv.conv"] * (kernel - 1))
    state = _state_bytes(values, rows, heads)
    if "attn_kv_a_mqa" in rows and "attn_kv_b" not in rows:
        rank = values.integer("attention.kv_lora_rank", 0)
        return Layer("latent", heads, 1, rows["attn_kv_a_mqa"], state_bytes=state, latent_rank=rank)
    projects = any(name in rows for name in ("attn_k", "attn_qkv", "attn_kv_b")) and "ssm_a" not in rows
    if not projects or not kv_heads:
        return Layer("recurrent" if state else "none", heads, state_bytes=state)
    if not heads:
        raise values.error("attention.head_count", "a whole number above 0")
    usual = max(1, values.integer("embedding_length", low=1) // heads)
    key_dim = values.integer("attention.key_length", usual, low=1)
    value_dim = values.integer("attention.value_length", usual, low=1)
    if window is not None:
        key_dim = values.integer("attention.key_length_swa", key_dim, low=1)
        value_dim = values.integer("attention.value_length_swa", value_dim, low=1)
    return Layer("attention", heads, kv_heads, key_dim, value_dim, window, state)


def _windows(values: Values, layers: int) -> list[int | None]:
    """How many tokens each layer's attention sees; None: all. A number n as the pattern: one layer in n sees all."""
    window, key = values.integer("attention.sliding_window", 0, high=MAX_TOKENS), "attention.sliding_window_pattern"
    architecture = values.prefix
    if not window or architecture in NEVER_WINDOWED:
        return [None] * layers
    if (local := values.marks(key, layers)) is not None:
        return [window if here else None for here in local]
    if architecture in ALL_WINDOWED:
        return [window] * layers
    if not values.has(key) and architecture not in PATTERNS:
        return [None] * layers
    every = values.integer(key, PATTERNS.get(architecture, 0))
    full = 0 if architecture in FIRST else every - 1
    return [None if every and index % every == full else window for index in range(layers)]


def _state_bytes(values: Values, rows: Mapping[str, int], heads: int) -> int:
    """A recurrent layer's float32 state: the last inputs of its convolution and the recurrence itself
    (n_embd_r and n_embd_s in llama-hparams.cpp)."""
    kernel = max(0, values.integer("ssm.conv_kernel", 0) - 1)
    if head := values.integer("kda.head_dim", 0):
        return 4 * heads * head * (3 * kernel + head) if "ssm_conv1d_q" in rows else 0
    if "ssm_conv1d" not in rows:
        return 0
    state = values.integer("ssm.state_size", 0) * values.integer("ssm.inner_size", 0)
    return 4 * (kernel * rows["ssm_conv1d"] + state)
