"""What a model file says about its network: read once from GGUF metadata, checked, and typed.

Keys and their defaults: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp's src/llama-model.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.model.rope import SCALINGS, Rope

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

ARCHITECTURES = ("gemma3", "llama", "qwen2", "qwen3")
GEMMA3_PATTERN = 6  # every sixth layer sees the whole context, the others a window
GEMMA3_27B_LAYERS = 62  # the one Gemma 3 that scales attention by width / heads instead of the head's width
MAX_SIZE = 1 << 24  # no dimension of a model is larger; a file that says so is wrong


@dataclass(frozen=True, slots=True)
class Config:
    """The network's shape. `windows` has one entry a layer: how many positions it sees, None for all of them.

    `rope` turns the layers that see everything, `local_rope` those with a window. Caps are None where there are none.
    """

    architecture: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    eps: float
    rope: Rope
    local_rope: Rope
    windows: tuple[int | None, ...]
    attention_scale: float
    embedding_scale: float = 1.0
    attention_softcap: float | None = None
    final_softcap: float | None = None

    @property
    def kv_width(self) -> int:
        """Values in one token's keys (or values) of one layer."""
        return self.kv_heads * self.head_dim

    @classmethod
    def from_gguf(cls, file: GGUF) -> Config:
        """Read the configuration of an open file.

        Raises FileFormatError naming a key that is missing, of the wrong type or out of range; UnsupportedError where
        the architecture, or something it asks for, is not among those bitwright runs.
        """
        metadata = Keys(file.metadata, file.path)
        name = metadata.text("general.architecture")
        if name not in ARCHITECTURES:
            raise UnsupportedError(f"{file.path}: architecture", name, ARCHITECTURES)
        embedding = file.tensors.get("token_embd.weight")
        if embedding is None or len(embedding.shape) != 2:
            got = "none" if embedding is None else f"shape {embedding.shape}"
            raise FileFormatError(file.path, None, "a tensor token_embd.weight of two dimensions", got)
        if "tokenizer.ggml.tokens" in file.metadata:
            tokens = file.metadata.length("tokenizer.ggml.tokens")
            metadata.expect("the rows of token_embd.weight", tokens, embedding.shape[0])
        return _read(Keys(file.metadata, file.path, name), name, embedding.shape[0], len(file.tensors))


class Keys:
    """Metadata whose every value is checked for type and range as it is read; `prefix` is the architecture's name."""

    def __init__(self, values: Mapping[str, Any], path: Path, prefix: str = "") -> None:
        self.values, self.path, self.prefix = values, path, prefix

    def name(self, key: str) -> str:
        return f"{self.prefix}.{key}" if self.prefix else key

    def has(self, key: str) -> bool:
        return self.name(key) in self.values

    def get(self, key: str, what: str) -> Any:
        """The value as it is; FileFormatError where the key is missing."""
        if not self.has(key):
            raise FileFormatError(self.path, None, f"the metadata key {self.name(key)} ({what})", "no such key")
        return self.values[self.name(key)]

    def text(self, key: str, default: str | None = None) -> str:
        value = default if default is not None and not self.has(key) else self.get(key, "a string")
        return value if isinstance(value, str) else self._fail(key, "a string", value)

    def integer(self, key: str, default: int | None = None, low: int = 1, high: int = MAX_SIZE) -> int:
        """A whole number from `low` to `high`; an array of one and the same number for every layer counts as one."""
        what = f"a whole number from {low} to {high}"
        value = default if default is not None and not self.has(key) else self.get(key, what)
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size and (value == value[0]).all():
            value = int(value[0])
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            return self._fail(key, what, value)
        return value

    def number(self, key: str, default: float | None = None, above: float = 0.0) -> float:
        """A finite number above `above`."""
        what = f"a finite number above {above:g}"
        value = default if default is not None and not self.has(key) else self.get(key, what)
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < math.inf:
            return self._fail(key, what, value)
        return float(value)

    def optional(self, key: str) -> float | None:
        """A finite number above 0, or None: an absent key and a 0 both mean that the model does without."""
        return self.number(key) if self.has(key) and self.values[self.name(key)] != 0 else None

    def expect(self, what: str, expected: object, got: object) -> None:
        if expected != got:
            raise FileFormatError(self.path, None, f"{what} to be {expected}", str(got))

    def _fail(self, key: str, expected: str, got: Any) -> Any:
        shown = f"{type(got).__name__} {got!r}"
        raise FileFormatError(self.path, None, f"{self.name(key)} to be {expected}", shown[:120])


def _read(keys: Keys, name: str, vocabulary: int, tensors: int) -> Config:
    if keys.integer("expert_count", 0, low=0) > 0:
        raise UnsupportedError(f"{keys.path}: feed-forward of", "several experts", ["one dense feed-forward a layer"])
    layers = keys.integer("block_count", high=tensors)
    width = keys.integer("embedding_length")
    heads = keys.integer("attention.head_count")
    kv_heads = keys.integer("attention.head_count_kv", heads)
    if heads % kv_heads:
        raise FileFormatError(keys.path, None, f"{heads} heads to share the key-value heads evenly", str(kv_heads))
    head_dim = keys.integer("attention.key_length", max(width // heads, 1))
    keys.expect("attention.value_length", head_dim, keys.integer("attention.value_length", head_dim))
    context = keys.integer("context_length", high=1 << 31)
    rope = _rope(keys, head_dim, context)
    gemma = name == "gemma3"
    return Config(
        architecture=name,
        layers=layers,
        width=width,
        feed_forward=keys.integer("feed_forward_length"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocabulary=vocabulary,
        context=context,
        eps=keys.number("attention.layer_norm_rms_epsilon"),
        rope=rope,
        local_rope=Rope(keys.number("rope.freq_base_swa", 10000.0, above=1), rope.dim) if gemma else rope,
        windows=_windows(keys, layers) if gemma else (None,) * layers,
        attention_scale=_attention_scale(keys, gemma, layers, width, heads, head_dim),
        embedding_scale=math.sqrt(width) if gemma else 1.0,
        attention_softcap=keys.optional("attn_logit_softcapping"),
        final_softcap=keys.optional("final_logit_softcapping"),
    )


def _rope(keys: Keys, head_dim: int, context: int) -> Rope:
    dim = keys.integer("rope.dimension_count", head_dim, high=head_dim)
    if dim % 2:
        raise FileFormatError(keys.path, None, "an even rope.dimension_count", str(dim))
    scaling = keys.text("rope.scaling.type", "linear")
    if scaling not in SCALINGS:
        raise UnsupportedError(f"{keys.path}: rope.scaling.type", scaling, SCALINGS)
    return Rope(
        base=keys.number("rope.freq_base", 10000.0, above=1),
        dim=dim,
        scaling=scaling,
        factor=keys.optional("rope.scaling.factor") or keys.optional("rope.scale_linear") or 1.0,
        original_context=keys.integer("rope.scaling.original_context_length", context, high=1 << 31),
        attention_factor=keys.number("rope.scaling.attn_factor", 1.0),
        beta_fast=keys.number("rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=keys.number("rope.scaling.yarn_beta_slow", 1.0),
    )


def _windows(keys: Keys, layers: int) -> tuple[int | None, ...]:
    """Gemma 3's pattern: a number n (the last of each n layers sees everything), or a bool a layer: it has a window."""
    window = keys.integer("attention.sliding_window", 0, low=0, high=1 << 31)
    if not window:
        return (None,) * layers
    key = "attention.sliding_window_pattern"
    pattern = keys.get(key, "a pattern") if keys.has(key) else GEMMA3_PATTERN
    if isinstance(pattern, np.ndarray) and pattern.dtype.kind in "biu":
        keys.expect(f"the length of {key}", layers, len(pattern))
        return tuple(window if local else None for local in pattern)
    every = keys.integer(key, GEMMA3_PATTERN, low=0)
    return tuple(window if every == 0 or layer % every < every - 1 else None for layer in range(layers))


def _attention_scale(keys: Keys, gemma: bool, layers: int, width: int, heads: int, head_dim: int) -> float:
    """1 / sqrt(head_dim), but for Gemma 3 27B, whose query_pre_attn_scalar is width / heads (no key holds it)."""
    usual = width // heads if gemma and layers == GEMMA3_27B_LAYERS else head_dim
    return keys.optional("attention.scale") or 1 / math.sqrt(usual)
