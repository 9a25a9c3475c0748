"""What the conversions of all families share: names, and keys of config.json that must have a certain value."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.io.values import Values
from bitwright.model.architectures.blueprint import Blueprint, TensorSpec, rope_type

Change = Callable[[NDArray[Any]], NDArray[Any]]  # of a tensor's values: float32, float16 or the bits of bfloat16

PREFIXES = {  # of the decoder's tensors, and of the output's: alone, and in models that see, older and newer
    "model.": "",
    "language_model.model.": "language_model.",
    "model.language_model.": "",
}
TOP = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "token_embd_norm": "embedding_norm",
    "per_layer_token_embd": "embed_tokens_per_layer",
    "per_layer_model_proj": "per_layer_model_projection",
    "per_layer_proj_norm": "per_layer_projection_norm",
}
LAYER = {  # GGUF's name within a layer: Hugging Face's
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
VISION = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")
UNUSED = re.compile(r"\.rotary_emb\.inv_freq$")  # follow from config.json
ROPES = ("linear", "yarn")
SCALES = ("mscale", "mscale_all_dim", "llama_4_scaling_beta")  # keys of rope scaling
# Keys that would change the numbers, with the values that do not.
EXPECTED: dict[str, tuple[object, ...]] = {
    "is_causal": (True,),
    "partial_rotary_factor": (1, 1.0),
    "use_sliding_window": (False,),
    "hidden_act": ("silu", "swish"),
}
ROTATED_IN_PART = {key: values for key, values in EXPECTED.items() if key != "partial_rotary_factor"}


def unchanged(b: Blueprint, name: str) -> None:
    """No tensor's values are changed."""
    return


def as_it_is(b: Blueprint, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A checkpoint has tensors in GGUF's shapes."""
    return shape


def nothing(b: Blueprint) -> dict[str, NDArray[np.float32]]:
    """No tensor follows from config.json."""
    return {}


def no_windows(b: Blueprint) -> None:
    """UnsupportedError if some layers see part of the text only."""
    expect_layers(b, ("full_attention",))


@dataclass(frozen=True)
class Family:
    """layer: Hugging Face's names within a layer by GGUF's, both without .weight or .bias, or else both whole; with *
    for the number of an expert: those are stacked. predicting: config.json's key for the number of layers that predict
    further tokens, and the end of the name of a tensor that only those have. further: names of what they have besides,
    if they lie in a part of their own. optional: ends of GGUF's names of tensors that a checkpoint may lack.
    stored(blueprint, name as for `change`, shape in GGUF): the shape that a checkpoint has. change(blueprint, GGUF's
    name without layer and .weight): what is done to those values. made: tensors that follow from config.json. expected:
    values of keys of config.json without which the model would be another. ropes: how rotations may be stretched.
    whole_pairs: see `model.rope`. scales: the keys of stretching, out of SCALES, that GGUF's architecture has a place
    for. check: of what else config.json says. roles: texts of tokens by their roles in GGUF, unless the tokenizer names
    others. aside: beginnings of the names of other parts of the model, which are left out. apart: whether experts are
    stored as `conversion.experts` reads them. each: names within a layer of experts that lie in one tensor, for where
    each has matrices of its own, as in quantized checkpoints; (gate|up): a tensor of GGUF is both, one after the other.
    unread: ends of names of tensors that nothing reads where the model is
    made without them. by_characters, pre: see `vocabulary.metadata`."""

    layer: Mapping[str, str] = field(default_factory=lambda: LAYER)
    predicting: tuple[str, str] | None = None
    optional: tuple[str, ...] = ()
    further: Mapping[str, str] = field(default_factory=dict)
    stored: Callable[[Blueprint, str, tuple[int, ...]], tuple[int, ...]] = as_it_is
    change: Callable[[Blueprint, str], Change | None] = unchanged
    made: Callable[[Blueprint], dict[str, NDArray[np.float32]]] = nothing
    expected: Mapping[str, tuple[object, ...]] = field(default_factory=lambda: EXPECTED)
    ropes: tuple[str, ...] = ROPES
    whole_pairs: bool = True
    scales: tuple[str, ...] = ()
    check: Callable[[Blueprint], None] = no_windows
    roles: Mapping[str, str] = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    apart: bool = False
    each: Mapping[str, str] = field(default_factory=dict)
    unread: re.Pattern[str] = UNUSED
    by_characters: bool = False
    pre: str = ""

    def check_config(self, b: Blueprint) -> None:
        """UnsupportedError if config.json asks for numbers that this family's GGUF files do not give."""
        for key, values in self.expected.items():
            expect(b.values, key, values)
        scaling = b.rope_values()
        if (kind := rope_type(scaling)) and kind not in self.ropes:
            raise UnsupportedError(f"{b.values.place}: rope_type", kind, ["default", *self.ropes])
        for key in SCALES:
            if scaling.has(key) and key not in self.scales:
                raise UnsupportedError(f"{b.values.place}: a key of rope scaling", key, ["attention_factor"])
        if rope_type(scaling) == "yarn" and scaling.flag("truncate", True) is not self.whole_pairs:
            truncate, other = (str(value).lower() for value in (self.whole_pairs, not self.whole_pairs))
            raise UnsupportedError(f"{b.values.place}: YaRN with truncate of", other, [truncate])
        if (key := "partial_rotary_factor") in self.expected:
            expect(scaling, key, self.expected[key])
        self.check(b)

    def names(self, b: Blueprint, there: Collection[str]) -> dict[str, tuple[str, ...]]:
        """By GGUF's names, the name that each tensor has in a checkpoint with the tensors `there`, or the names of the
        tensors that it stacks. FileFormatError if there is no embedding."""
        found = [prefix for prefix in PREFIXES if f"{prefix}embed_tokens.weight" in there]
        if not found:
            mistral = "Mistral's own names: take model*.safetensors of the same repository"
            got = mistral if "tok_embeddings.weight" in there else "no such tensor"
            raise FileFormatError(b.values.place, None, "a tensor model.embed_tokens.weight", got)
        made = self.made(b)
        names, in_turn = {}, self.in_turn()
        for tensor in (t for t in b.tensors if t.name not in made):
            names[tensor.name] = self._names(tensor, found[0], b.layers)
            if tensor.name.split(".", 2)[-1] in self.each:
                turned = in_turn._names(tensor, found[0], b.layers)
                names[tensor.name] = turned if turned[0] in there else names[tensor.name]
        return {t: own for t, own in names.items() if not t.endswith(self.optional) or own[0] in there}

    def in_turn(self) -> Family:
        """The same family where each expert has matrices of its own."""
        return replace(self, layer={**self.layer, **self.each}, each={})

    def _names(self, tensor: TensorSpec, prefix: str, layers: int) -> tuple[str, ...]:
        name = self._name(tensor.name, prefix, layers)
        if "*" not in name:
            return (name,)
        before, found, after = re.fullmatch(r"([^(]*)(\([^)]*\))?(.*)", name).groups()  # type: ignore[union-attr]
        parts = [f"{before}{part}{after}" for part in (found or "()")[1:-1].split("|")]
        return tuple(part.replace("*", str(expert)) for expert in range(tensor.shape[0]) for part in parts)

    def _name(self, name: str, prefix: str, layers: int) -> str:
        stem, _, kind = name.rpartition(".")
        if stem == "output":
            return f"{PREFIXES[prefix]}lm_head.{kind}"
        if stem in TOP:
            return f"{prefix}{TOP[stem]}.{kind}"
        _, layer, part = name.split(".", 2)
        stem, _, kind = part.rpartition(".")
        if stem in self.further:
            return f"mtp.{self.further[stem]}.{kind}"
        if self.further and int(layer) >= layers:
            prefix, layer = "mtp.", str(int(layer) - layers)
        return f"{prefix}layers.{layer}." + (self.layer[part] if part in self.layer else f"{self.layer[stem]}.{kind}")

    def left_out(self, name: str, tied: bool) -> bool:
        """Whether a tensor of the checkpoint is not needed. tied: the embedding serves as the output, so a second copy
        of it is not."""
        copy = tied and name in {f"{head}lm_head.weight" for head in PREFIXES.values()}
        return copy or self.unread.search(name) is not None or name.startswith(self.aside)


def stem(name: str) -> str:
    """GGUF's name of a tensor without its layer and .weight or .bias."""
    return name.removesuffix(".weight").removesuffix(".bias").split(".")[-1]


def expect_layers(b: Blueprint, allowed: Collection[str]) -> None:
    """UnsupportedError if config.json lists a layer of another kind than these."""
    if others := sorted(set(b.values.names("layer_types", b.layers) or ()) - set(allowed)):
        raise UnsupportedError(f"{b.values.place}: layers of", others[0], allowed)


def expect_plain_windows(b: Blueprint) -> None:
    """UnsupportedError for layers of other kinds than with and without a window, or if the rotations of those with one
    are stretched."""
    expect_layers(b, ("sliding_attention", "full_attention"))
    local = b.rope_values("sliding_attention")
    if b.values.inner("rope_parameters").has("sliding_attention") and (kind := rope_type(local)):
        raise UnsupportedError(f"{b.values.place}: rope_type of layers with a window", kind, ["default"])


def expect(values: Values, key: str, allowed: Collection[object]) -> None:
    """UnsupportedError if config.json gives `key` another value than these."""
    value = values.get(key)
    if values.has(key) and not any(type(value) is type(one) and value == one for one in allowed):
        raise UnsupportedError(f"{values.place}: {values.name(key)} of", values.found(key), allowed or ("null",))
