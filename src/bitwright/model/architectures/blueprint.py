"""The GGUF file that a config.json would become: its metadata and its tensors, by llama.cpp's names.

Names and shapes: llama.cpp's src/llama-arch.cpp and src/models/*.cpp; keys: its conversion/*.py. Shapes here are in
NumPy's order. https://github.com/ggml-org/llama.cpp
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bitwright import formats
from bitwright.formats import Format
from bitwright.io.values import MAX_TOKENS, Values

FLOAT32 = formats.get("f32")


def rope_type(scaling: Values) -> str:
    """How rotations are stretched, by config.json's older or newer name of the key; "" if they are not."""
    kind = scaling.text("rope_type", scaling.text("type", ""))
    return "" if kind == "default" else kind


class TensorSpec(NamedTuple):
    """A tensor of a model without its values; shape in NumPy order."""

    name: str
    shape: tuple[int, ...]
    format: Format


@dataclass
class Blueprint:
    """Grows key by key and tensor by tensor. values: of config.json. base: the format of matrices; vectors are float32.
    at: the layer that tensors are added to; None outside of layers."""

    architecture: str
    values: Values
    base: Format
    metadata: dict[str, Any] = field(default_factory=dict)
    tensors: list[TensorSpec] = field(default_factory=list)
    at: int | None = None

    def key(self, **values: Any) -> None:
        """Add metadata of the architecture; `__` in a name stands for a dot."""
        self.metadata |= {f"{self.architecture}.{name.replace('__', '.')}": value for name, value in values.items()}

    def matrix(self, name: str, *shape: int) -> None:
        """Add a `.weight` in the base format: (rows, columns), or (experts, rows, columns)."""
        self._add(f"{name}.weight", shape, self.base)

    def vector(self, name: str, *shape: int) -> None:
        """Add a float32 tensor under its full name."""
        self._add(name, shape, FLOAT32)

    def norm(self, name: str, length: int) -> None:
        """Add the weight vector of a normalization."""
        self.vector(f"{name}.weight", length)

    def _add(self, name: str, shape: tuple[int, ...], format: Format) -> None:
        prefix = "" if self.at is None else f"blk.{self.at}."
        self.tensors.append(TensorSpec(prefix + name, shape, format))

    def blocks(self, further: int = 0) -> Iterator[int]:
        """Yields each layer's number, and those of so many further layers; what is added in the loop belongs to that
        layer."""
        for index in range(self.layers + further):
            self.at = index
            yield index
        self.at = None

    # Parts that nearly all decoders share. Sizes have Hugging Face's usual names in config.json.

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.values.integer("num_hidden_layers", low=1)

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.values.integer("hidden_size", low=1)

    @property
    def context(self) -> int:
        """Tokens it was trained on."""
        return self.values.integer("max_position_embeddings", low=1, high=MAX_TOKENS)

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return self.values.integer("num_attention_heads", low=1)

    @property
    def kv_heads(self) -> int:
        """Number of heads of keys and values; by default as many as query heads."""
        return self.values.integer("num_key_value_heads", self.heads)

    @property
    def head_dim(self) -> int:
        """Width of a head; by default the width divided by the number of heads."""
        return self.values.integer("head_dim", self.width // self.heads)

    @property
    def rotated(self) -> int:
        """How many values of a head are rotated."""
        share = self.values.number("partial_rotary_factor", 1.0)
        return int(self.head_dim * self.rope_values().number("partial_rotary_factor", share))

    def frame(self, tied: bool = False, last_norm: str = "output_norm") -> None:
        """Add embedding, last norm, output, and the keys that every architecture has. tied: the meaning of an absent
        `tie_word_embeddings`."""
        values, vocabulary = self.values, self.values.integer("vocab_size", low=1)
        self.metadata["general.architecture"] = self.architecture
        self.key(block_count=self.layers, embedding_length=self.width, vocab_size=vocabulary)
        self.key(context_length=self.context)
        self.key(attention__head_count=self.heads, attention__head_count_kv=self.kv_heads)
        self.key(attention__key_length=self.head_dim, attention__value_length=self.head_dim)
        self.key(rope__dimension_count=self.head_dim)
        if length := values.integer("intermediate_size", 0):
            self.key(feed_forward_length=length)
        self.key(attention__layer_norm_rms_epsilon=values.number("rms_norm_eps", 1e-6))
        self.matrix("token_embd", vocabulary, self.width)
        self.norm(last_norm, self.width)
        if not values.flag("tie_word_embeddings", tied):
            self.matrix("output", vocabulary, self.width)
        self.rope()

    def rope_values(self, layers: str = "full_attention") -> Values:
        """How config.json wants positions rotated, in this kind of layers if it tells kinds apart."""
        found = self.values.inner("rope_scaling" if self.values.has("rope_scaling") else "rope_parameters")
        return found.inner(layers) if found.has(layers) else found

    def rope(self) -> None:
        """Add the base of rotations, and how they are stretched: linear, YaRN, Llama 3's frequencies or LongRoPE's two
        sets."""
        scaling = self.rope_values()
        self.key(rope__freq_base=scaling.number("rope_theta", self.values.number("rope_theta", 10000.0), low=2))
        kind = rope_type(scaling)
        if kind in ("linear", "yarn"):
            factor = scaling.number("factor", low=1)
            self.key(rope__scaling__type=kind, rope__scaling__factor=factor)
            if kind == "yarn":
                self._yarn(scaling, factor)
        elif kind == "llama3":
            self.vector("rope_freqs.weight", self.head_dim // 2)
        elif kind in ("longrope", "su"):
            self.key(rope__scaling__type="longrope")
            self.vector("rope_factors_long.weight", self.rotated // 2)
            self.vector("rope_factors_short.weight", self.rotated // 2)

    def _yarn(self, scaling: Values, factor: float) -> None:
        """config.json's attention_factor replaces the usual 0.1 ln(factor) + 1, GGUF's attn_factor multiplies it."""
        original = scaling.integer("original_max_position_embeddings", self.context, low=1, high=MAX_TOKENS)
        self.key(rope__scaling__original_context_length=original)
        if (magnitude := scaling.optional("attention_factor")) is not None:
            self.key(rope__scaling__attn_factor=magnitude / (0.1 * math.log(factor) + 1))
        for beta in ("beta_fast", "beta_slow"):
            if (turns := scaling.optional(beta)) is not None:
                self.key(**{f"rope__scaling__yarn_{beta}": turns})

    def attention(
        self,
        bias: bool = False,
        qk_norm: bool = False,
        fused: bool = False,
        output_bias: bool = False,
        gated: bool = False,
        head_dim: int | None = None,
        kv_heads: int | None = None,
    ) -> None:
        """Add grouped-query attention. bias: of q, k and v. gated: q has twice the rows, half of which are a gate."""
        head_dim, kv_heads = head_dim or self.head_dim, self.kv_heads if kv_heads is None else kv_heads
        width, q, kv = self.width, self.heads * head_dim, kv_heads * head_dim
        if fused:
            self.matrix("attn_qkv", q + 2 * kv, width)
        for name, rows in () if fused else (("attn_q", q * (1 + gated)), ("attn_k", kv), ("attn_v", kv)):
            self.matrix(name, rows, width)
            if bias:
                self.vector(f"{name}.bias", rows)
        self.matrix("attn_output", width, q)
        if output_bias:
            self.vector("attn_output.bias", width)
        if qk_norm:
            self.norm("attn_q_norm", head_dim)
            self.norm("attn_k_norm", head_dim)

    def feed_forward(self, length: int, suffix: str = "", fused: bool = False, bias: bool = False) -> None:
        """Add a gated feed-forward. suffix: `_shexp` for the expert that takes every token."""
        if not fused:
            self.matrix(f"ffn_gate{suffix}", length, self.width)
        self.matrix(f"ffn_up{suffix}", length * (1 + fused), self.width)
        self.matrix(f"ffn_down{suffix}", self.width, length)
        if bias:
            for name, rows in (("gate", length), ("up", length), ("down", self.width)):
                self.vector(f"ffn_{name}.bias", rows)

    def experts(self, count: int, length: int, base: Format | None = None) -> None:
        """Add a router, in float32, and `count` gated feed-forwards, stacked."""
        self.vector("ffn_gate_inp.weight", count, self.width)
        for name, rows, columns in (
            ("gate", length, self.width),
            ("up", length, self.width),
            ("down", self.width, length),
        ):
            self._add(f"ffn_{name}_exps.weight", (count, rows, columns), base or self.base)
