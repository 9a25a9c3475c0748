"""What each layer remembers of the tokens before, told from a GGUF file's metadata and the tensors it has.

Keys and patterns: llama.cpp's src/llama-hparams.cpp and src/models/*.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwright.errors import FileFormatError
from bitwright.hardware.draft import Tensor
from bitwright.hardware.facts import MAX_SIZE
from bitwright.recipes.roles import layer as layer_of

# Every n-th layer sees everything, where the file does not say which do; for `first` ones that is the first of each n.
PATTERNS = {
    "afmoe": 4, "cohere2": 4, "cohere2moe": 4, "exaone-moe": 4, "exaone4": 4, "gemma-embedding": 6, "gemma2": 2,
    "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "laguna": 4, "llama4": 4, "mellum": 4, "muse-glimmer": 4, "olmo2": 4,
    "plamo3": 8, "smallthinker": 4,
}  # fmt: skip
FIRST = {"cohere2moe", "laguna", "smallthinker"}
ALL_WINDOWED = {"lfm2"}  # the attentions of a file that names a window
KINDS = ("attention", "latent", "recurrent", "convolution", "none")


@dataclass(frozen=True)
class Layer:
    """One layer's memory: of each token kv_heads keys of key_dim values and as many values of value_dim, of at most
    `window` tokens (None: of all); and state_bytes for the sequence as a whole, however long.

    A latent layer keeps one vector of key_dim, from which keys and values are made. "none" remembers nothing of its
    own: it shares an earlier layer's, or predicts further tokens and is not run while decoding.
    """

    kind: str
    kv_heads: int = 0
    key_dim: int = 0
    value_dim: int = 0
    window: int | None = None
    state_bytes: int = 0


def layers(metadata: Mapping[str, Any], tensors: Iterable[Tensor]) -> tuple[Layer, ...]:
    """The layers of a GGUF file; the metadata's keys are GGUF's. FileFormatError for values that cannot be."""
    keys, tensors = Keys(metadata), list(tensors)
    if keys.layers > len(tensors):
        raise keys.error("block_count", f"at most {len(tensors)}, as many as there are tensors", keys.layers)
    rows: dict[int, dict[str, int]] = {}
    for tensor in tensors:
        inside = rows.setdefault(layer_of(tensor.name), {})
        inside[tensor.name.split(".", 2)[-1].removesuffix(".weight")] = tensor.shape[0]
    return tuple(_layer(keys, index, rows.get(index, {})) for index in range(keys.layers))


class Keys:
    """The keys of one architecture, of which any may be missing; where one is a list it has an entry a layer.

    Values that are no numbers, or impossible ones, raise FileFormatError when they are asked for.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata, self.architecture = metadata, str(metadata.get("general.architecture", ""))
        self.layers = self.number("block_count")

    def get(self, key: str) -> Any:
        return self.metadata.get(f"{self.architecture}.{key}")

    def number(self, key: str, default: int = 0, layer: int = 0) -> int:
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, list | np.ndarray):
            value = value[layer] if layer < len(value) else default
        if not isinstance(value, int | np.integer) or not 0 <= value <= MAX_SIZE:
            raise self.error(key, f"a whole number from 0 to {MAX_SIZE}", value)
        return int(value)

    def error(self, key: str, expected: str, got: object) -> FileFormatError:
        place = getattr(self.metadata, "path", "the metadata")
        return FileFormatError(place, None, f"{self.architecture}.{key} to be {expected}", f"{got!r}"[:80])

    def largest(self, key: str) -> int:
        """Over the layers."""
        return max((self.number(key, layer=index) for index in range(self.layers)), default=0)

    def window(self, layer: int) -> int | None:
        """How many tokens the layer's attention sees; None: all."""
        window, pattern = self.number("attention.sliding_window"), self.get("attention.sliding_window_pattern")
        if not window:
            return None
        if isinstance(pattern, list | np.ndarray):
            return window if layer < len(pattern) and pattern[layer] else None
        if self.architecture in ALL_WINDOWED:
            return window
        if pattern is None and self.architecture not in PATTERNS:
            return None
        every = self.number("attention.sliding_window_pattern", PATTERNS.get(self.architecture, 0))
        full = every and layer % every == (0 if self.architecture in FIRST else every - 1)
        return None if full else window


def _layer(keys: Keys, index: int, rows: Mapping[str, int]) -> Layer:
    """rows: of the layer's tensors, by their names in it."""
    if index >= keys.layers - keys.number("nextn_predict_layers"):
        return Layer("none")
    if "shortconv.conv" in rows:
        return Layer("convolution", state_bytes=4 * rows["shortconv.conv"] * (keys.number("shortconv.l_cache", 3) - 1))
    state = _state_bytes(keys, rows)
    if "attn_kv_a_mqa" in rows and "attn_kv_b" not in rows:
        return Layer("latent", 1, rows["attn_kv_a_mqa"], state_bytes=state)
    heads = keys.number("attention.head_count", layer=index)
    kv_heads = keys.number("attention.head_count_kv", heads, index)
    shared = index >= keys.layers - keys.number("attention.shared_kv_layers")
    projects = any(name in rows for name in ("attn_k", "attn_qkv", "attn_kv_b")) and "ssm_a" not in rows
    if not projects or shared or not kv_heads:
        return Layer("recurrent" if state else "none", state_bytes=state)
    window = keys.window(index)
    usual = keys.number("embedding_length") // max(1, heads)
    key_dim, value_dim = keys.number("attention.key_length", usual), keys.number("attention.value_length", usual)
    if window is not None:
        key_dim = keys.number("attention.key_length_swa", key_dim)
        value_dim = keys.number("attention.value_length_swa", value_dim)
    return Layer("attention", kv_heads, key_dim, value_dim, window, state)


def _state_bytes(keys: Keys, rows: Mapping[str, int]) -> int:
    """A recurrent layer's float32 state: the last inputs of its convolution and the recurrence itself
    (n_embd_r and n_embd_s in llama-hparams.cpp)."""
    kernel = max(0, keys.number("ssm.conv_kernel") - 1)
    if head := keys.number("kda.head_dim"):
        heads = keys.number("attention.head_count")
        return 4 * heads * head * (3 * kernel + head) if "ssm_conv1d_q" in rows else 0
    if "ssm_conv1d" not in rows:
        return 0
    return 4 * (kernel * rows["ssm_conv1d"] + keys.number("ssm.state_size") * keys.number("ssm.inner_size"))
