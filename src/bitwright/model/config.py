"""What the engine needs to know about a model besides its shape, read from GGUF metadata.

Keys and their defaults: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp's src/llama-model.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.formats.tensor import HasShape
from bitwright.io.values import MAX_TOKENS, Values
from bitwright.kernels.ops.convolution import TAPS
from bitwright.kernels.ops.route import Scoring
from bitwright.model import keys
from bitwright.model.architectures.architecture import Architecture, read_architecture
from bitwright.model.architectures.layers import Layer
from bitwright.model.delta_net import DeltaNet
from bitwright.model.latent import Latent
from bitwright.model.rope import SCALINGS, Rope
from bitwright.model.routing import DENSE_FIRST, SHARED_COUNT, groups_of, scoring
from bitwright.model.steps import ARCHITECTURES, CONVOLVING, EITHER, HYBRIDS, LATENT, MIXTURES, PREDICTING, UNEVEN

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

REQUIRED = ("embedding_length", "context_length")
# Of rotations in layers with a window; others: that of all layers.
LOCAL_BASE = {"gemma3": 10000.0, "gemma4": 10000.0}
LOCAL_STRETCHED = {"gpt-oss"}  # in layers with a window, too, rotations are stretched
EXACT_RAMP = {"gpt-oss"}  # whose config.json says `truncate: false` of YaRN's ramp, for which GGUF has no key
UNSCALED = {"gemma4": 1.0}  # scores
REQUIRED_OF_EXPERTS = ("expert_count", "expert_used_count")
EXPERT_LENGTH = {"granitehybrid": "feed_forward_length"}  # the key of it; of others expert_feed_forward_length
UNROTATED = {"granite", "granitehybrid"}  # whose files may say that nothing is rotated
OTHER_SCALINGS = {"phi3": ("longrope",)}  # which need more than numbers
TURNS = (1e-6, 1e6)  # of a pair within the original context; YaRN's defaults are 1 and 32


@dataclass(frozen=True)
class Config(Architecture):
    """A model that the engine runs. Its layers all attend, and differ only in their windows unless the architecture is
    one of UNEVEN; those that predict further tokens do not run. In one of HYBRIDS some attend, and the others are of
    the shape `delta`; in one of CONVOLVING the others convolve over `taps` tokens. In one of LATENT they attend to
    latent vectors. In a mixture each has `experts` feed-forwards of length `expert_feed_forward`, scored as
    `expert_scoring` says and in `expert_groups` (ops.Route), whose weights are multiplied by `expert_scale`; and one of
    length `shared_feed_forward` that takes every token, if that is not 0. The first `leading_dense` layers have a dense
    one. `feed_forwards` are the lengths of the dense ones, `per_layer` is the width of the embedding that each layer
    has of its own, 0 without.

    `rope` applies to the layers that see all tokens, `local_rope` to those with a window, neither unless the model
    `rotates`. A cap of None means no cap.
    `temperature`: by how much queries grow (ops.Temperature), in units of the original context; 0 means not. The
    embedding and what a layer adds are multiplied by their scales, logits are divided by theirs. `is_long`: whether a
    text may be longer than the original context, for which LongRoPE has other rotations.
    """

    eps: float
    rope: Rope
    local_rope: Rope
    attention_scale: float
    rotates: bool = True
    attention_softcap: float | None = None
    final_softcap: float | None = None
    temperature: float = 0.0
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    feed_forwards: tuple[int, ...] = ()
    per_layer: int = 0
    expert_feed_forward: int = 0
    expert_scale: float = 1.0
    expert_scoring: Scoring = "softmax"
    expert_groups: int = 1
    expert_groups_used: int = 1
    shared_feed_forward: int = 0
    leading_dense: int = 0
    is_long: bool = False
    delta: DeltaNet | None = None
    latent: Latent | None = None
    taps: int = 0

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values in the layers that attend."""
        return max(layer.kv_heads for layer in self.layers)

    @property
    def head_dim(self) -> int:
        """Width of a head in the layers that attend."""
        return max(layer.key_dim for layer in self.layers)

    @property
    def kv_width(self) -> int:
        """Values in one token's keys (or values) of one layer."""
        return self.kv_heads * self.head_dim

    @property
    def windows(self) -> tuple[int | None, ...]:
        """How many positions each layer sees; None: all of them."""
        return tuple(layer.window for layer in self.layers)

    @classmethod
    def from_gguf(cls, file: GGUF) -> Config:
        """Read the configuration of an open file. Raises what `read` does, FileFormatError if its vocabulary is of
        another size than its embedding."""
        config, key = cls.read(Values(file.metadata, file.path), file.tensors), "tokenizer.ggml.tokens"
        if key in file.metadata and (tokens := file.metadata.length(key)) != config.vocabulary:
            expected = f"the rows of token_embd.weight to be {tokens}"
            raise FileFormatError(file.path, None, expected, str(config.vocabulary))
        return config

    @classmethod
    def read(cls, metadata: Values, tensors: Mapping[str, HasShape]) -> Config:
        """Read the configuration of a file with this metadata and these tensors.

        Raises FileFormatError naming a key that is missing, of the wrong type or out of range; UnsupportedError if the
        architecture, or a feature it needs, is not one that bitwright runs.
        """
        name, place = metadata.text("general.architecture"), metadata.place
        if name not in ARCHITECTURES:
            raise UnsupportedError(f"{place}: architecture", name, ARCHITECTURES)
        embedding = tensors.get("token_embd.weight")
        if embedding is None or len(embedding.shape) != 2:
            got = "none" if embedding is None else f"shape {embedding.shape}"
            raise FileFormatError(place, None, "a tensor token_embd.weight of two dimensions", got)
        values = Values(metadata.values, place, name)
        keys.check(values)
        shape = read_architecture(values, tensors.values())
        _check_layers(values, shape)
        attending = [layer for _, layer in _attending(values, shape)]
        local, whole = (
            next((layer for layer in attending if (layer.window is not None) == windowed), attending[0])
            for windowed in (True, False)
        )
        rope = _rope(values, whole.key_dim, shape.context)
        latent = Latent.read(values, whole, rope) if name in LATENT else None
        usual_scale = latent.scale if latent else 1 / math.sqrt(whole.key_dim)
        groups, groups_used = groups_of(values, shape) if shape.experts else (1, 1)
        local_base = values.number("rope.freq_base_swa", LOCAL_BASE.get(name, rope.base), low=2)
        local_dim = _rotated(values, "rope.dimension_count_swa", rope.dim, local.key_dim)
        return cls(
            **vars(shape),
            eps=values.number("attention.layer_norm_rms_epsilon"),
            rope=rope,
            local_rope=replace(rope, base=local_base) if name in LOCAL_STRETCHED else Rope(local_base, local_dim),
            attention_scale=values.optional("attention.scale") or UNSCALED.get(name) or usual_scale,
            rotates=name not in UNROTATED or values.flag("rope.scaling.finetuned", True),
            attention_softcap=values.optional("attn_logit_softcapping"),
            final_softcap=values.optional("final_logit_softcapping"),
            temperature=values.optional("attention.temperature_scale") or 0.0,
            embedding_scale=values.optional("embedding_scale") or 1.0,
            residual_scale=values.optional("residual_scale") or 1.0,
            logit_scale=values.optional("logit_scale") or 1.0,
            feed_forwards=tuple(values.per_layer("feed_forward_length", len(shape.layers), 0)),
            per_layer=values.integer("embedding_length_per_layer_input", 0, high=MAX_TOKENS),
            expert_feed_forward=(length := values.integer(_expert_length(name), 0)),
            expert_scale=values.optional("expert_weights_scale") or 1.0,
            expert_scoring=scoring(values, shape),
            expert_groups=groups,
            expert_groups_used=groups_used,
            shared_feed_forward=_shared_length(values, length),
            leading_dense=values.integer("leading_dense_block_count", 0) if name in DENSE_FIRST else 0,
            delta=DeltaNet.read(values) if name in HYBRIDS else None,
            latent=latent,
            taps=values.integer("shortconv.l_cache", low=2, high=TAPS) if name in CONVOLVING else 0,
        )


def _attending(values: Values, shape: Architecture) -> list[tuple[int, Layer]]:
    """The layers that attend, by their numbers, and any that the engine does not run."""
    other = {"recurrent": HYBRIDS, "convolution": CONVOLVING, "prediction": PREDICTING}
    others = [kind for kind, where in other.items() if values.prefix in where]
    found = [(index, layer) for index, layer in enumerate(shape.layers) if layer.kind not in others]
    if not found:
        raise FileFormatError(values.place, None, "a layer that attends: a tensor blk.*.attn_k.weight", "none")
    return found


def _check_layers(values: Values, shape: Architecture) -> None:
    """Raises if the engine cannot run layers of these shapes."""
    mixture = values.prefix in MIXTURES or (values.prefix in EITHER and shape.experts > 0)
    uneven = values.prefix in UNEVEN
    if shape.experts and not mixture and not uneven:
        raise UnsupportedError(
            f"{values.place}: feed-forward of", "several experts", ["one dense feed-forward per layer"]
        )
    of_experts = (*REQUIRED_OF_EXPERTS, _expert_length(values.prefix))
    for key in (*REQUIRED, *(of_experts if mixture or shape.experts else ())):
        values.integer(key, low=1, high=MAX_TOKENS)
    if not uneven and not mixture:
        values.integer("feed_forward_length", low=1, high=MAX_TOKENS)
    if uneven:
        values.per_layer("feed_forward_length", len(shape.layers), low=1)
    attending = _attending(values, shape)
    first, kind = attending[0][1], "latent" if values.prefix in LATENT else "attention"
    for index, layer in attending:
        if layer.kind != kind:
            expected = f"layer {index} to attend: attention.head_count_kv above 0, a tensor blk.{index}.attn_k.weight"
            if kind == "latent":
                expected = f"tensors blk.{index}.attn_k_b and attn_v_b (files of before April 2025 have attn_kv_b)"
            raise FileFormatError(values.place, None, expected, f"a layer without ({layer.kind})")
        one = layer if uneven else first
        for key, usual, got in (
            ("attention.head_count", one.heads, layer.heads),
            ("attention.head_count_kv", one.kv_heads, layer.kv_heads),
            ("attention.key_length", one.key_dim, layer.key_dim),
            ("attention.value_length", one.value_dim if kind == "latent" else one.key_dim, layer.value_dim),
            ("attention.shared_kv_layers", one.source, layer.source),
        ):
            if usual != got:
                expected = f"{values.name(key)} to be {usual} in every layer"
                raise FileFormatError(values.place, None, expected, f"{got} in layer {index}")
        if layer.heads % layer.kv_heads:
            expected = f"{layer.heads} heads to share the key-value heads evenly"
            raise FileFormatError(values.place, None, expected, str(layer.kv_heads))


def _rotated(values: Values, key: str, default: int, head_dim: int) -> int:
    """How many values of a head are rotated."""
    dim = values.integer(key, default, low=1, high=head_dim)
    if dim % 2:
        raise values.error(key, "an even number")
    return dim


def _expert_length(architecture: str) -> str:
    """The key of an expert's length."""
    return EXPERT_LENGTH.get(architecture, "expert_feed_forward_length")


def _shared_length(values: Values, length: int) -> int:
    """Of the feed-forward that takes every token; length: of an expert's."""
    if values.prefix in SHARED_COUNT:
        return length * values.integer("expert_shared_count", low=1)
    key = "expert_shared_feed_forward_length"
    if values.prefix in EITHER:
        return values.integer(key, 0)
    return values.integer(key, low=1) if values.prefix in keys.SHARED else 0


def _rope(values: Values, head_dim: int, context: int) -> Rope:
    scaling, supported = values.text("rope.scaling.type", "linear"), (*SCALINGS, *OTHER_SCALINGS.get(values.prefix, ()))
    if scaling not in supported:
        raise UnsupportedError(f"{values.place}: rope.scaling.type", scaling, supported)
    return Rope(
        base=values.number("rope.freq_base", 10000.0, low=2),
        dim=_rotated(values, "rope.dimension_count", head_dim, head_dim),
        scaling=scaling,
        factor=values.optional("rope.scaling.factor") or values.optional("rope.scale_linear") or 1.0,
        original_context=values.integer("rope.scaling.original_context_length", context, low=1, high=MAX_TOKENS),
        attention_factor=values.number("rope.scaling.attn_factor", 1.0),
        beta_fast=values.number("rope.scaling.yarn_beta_fast", 32.0, *TURNS),
        beta_slow=values.number("rope.scaling.yarn_beta_slow", 1.0, *TURNS),
        log_multiplier=1.0 if values.prefix in LATENT else values.optional("rope.scaling.yarn_log_multiplier") or 0.0,
        whole_pairs=values.prefix not in EXACT_RAMP,
    )
