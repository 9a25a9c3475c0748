"""A model's outline: every tensor's shape and what every layer remembers, with no weights read.

From a GGUF file, from config.json beside safetensors, or from the built-in list of published shapes.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bitwright import formats
from bitwright.errors import BitwrightError, FileFormatError
from bitwright.hardware import checkpoint, shapes
from bitwright.hardware.draft import Draft, Tensor
from bitwright.hardware.families import draft
from bitwright.hardware.layers import Keys, Layer, layers
from bitwright.io import gguf, hub
from bitwright.recipes.roles import layer as layer_of
from bitwright.recipes.rules import Shape

__all__ = ["Layer", "Outline", "Tensor", "outline"]

EXPERTS = "_exps"  # in the names of tensors that hold all experts of a layer, stacked
LLAMA3_TOKENS = 128256
LOOKED_UP = ("token_embd.weight", "per_layer_token_embd.weight")  # of these a token needs one row


@dataclass(frozen=True)
class Outline:
    """What a model is made of. tensors: as they would lie in a GGUF file. layers: one entry a block. experts: in a
    layer, of which a token takes experts_used; 0 without. context: tokens it was trained on. source: where this was
    read. standing: how far it can be trusted, in words. metadata: of the GGUF file, read or drafted. vocabulary_bytes:
    the estimate for the tokenizer that a drafted file has to hold too; 0 for a file, whose metadata holds it."""

    name: str
    architecture: str
    tensors: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    width: int
    vocabulary: int
    heads: int
    feed_forward: int
    experts: int
    experts_used: int
    context: int
    source: str
    standing: str
    metadata: Mapping[str, Any] = field(repr=False, compare=False)
    vocabulary_bytes: int = 0

    @property
    def shape(self) -> Shape:
        """What the recipes' rules ask of a model."""
        keys = Keys(self.metadata)
        heads = keys.number("attention.head_count")
        kv_heads = keys.number("attention.head_count_kv", heads)
        return Shape(self.architecture, keys.layers, heads, kv_heads, keys.number("expert_count"))

    @property
    def parameters(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def active_parameters(self) -> int:
        """Those that decoding a token multiplies by."""
        return round(sum(self.share_read(t.name) * math.prod(t.shape) for t in self.tensors))

    @property
    def tied(self) -> bool:
        """Whether the embedding serves as the output too."""
        return all(tensor.name != "output.weight" for tensor in self.tensors)

    def share_read(self, name: str) -> float:
        """The share of a tensor that decoding one token reads: of experts those used, of the embedding nothing to speak
        of unless it is the output too, of the layers that predict further tokens nothing."""
        return self._shares[name]

    @cached_property
    def _shares(self) -> dict[str, float]:
        run = len(self.layers) - Keys(self.metadata).number("nextn_predict_layers")
        experts = self.experts_used / self.experts if self.experts else 1.0
        found = {}
        for name in (tensor.name for tensor in self.tensors):
            if name in LOOKED_UP:
                found[name] = float(name == "token_embd.weight" and self.tied)
            else:
                found[name] = 0.0 if layer_of(name) >= run else experts if EXPERTS in name else 1.0
        return found


def outline(ref: str | Path) -> Outline:
    """The outline of a model, no weights read: a GGUF file, a folder of config.json and safetensors, either of them on
    the hub (`hub.resolve`), or the id of a built-in shape.

    Raises UsageError where `ref` names nothing, FileFormatError or UnsupportedError where what it names is no model
    whose outline can be told, BitwrightError where it cannot be read.
    """
    ref = str(ref)
    path = Path(os.path.expanduser(ref))
    if ref in hub.aliases.ALIASES:  # its file if that is here, which is not downloaded for its outline
        with contextlib.suppress(BitwrightError):
            return from_gguf(gguf.open(hub.resolve(ref, offline=True)))
    if ref in shapes.shapes() and not path.exists():
        return from_shape(ref)
    if found := checkpoint.local(path) or checkpoint.remote(ref):
        made, standing = found
        return from_draft(made, path.name if path.name != checkpoint.CONFIG else path.parent.name, ref, standing)
    return from_gguf(gguf.open(hub.resolve(ref, headers_only=True)))


def from_gguf(file: gguf.GGUF) -> Outline:
    """The outline of an open file; FileFormatError where it holds no tensors."""
    if not file.tensors:
        raise FileFormatError(file.path, None, "the tensors of a model", "none, as in a file of a vocabulary alone")
    tensors = tuple(Tensor(t.name, tuple(t.shape), t.format) for t in file.tensors.values())
    name = str(file.metadata.get("general.name", file.path.stem))
    return _outline(name, file.metadata, tensors, str(file.path), "read in the file")


def from_shape(id: str) -> Outline:
    """A built-in shape's outline, as its published weights are stored. UnknownNameError with close ids."""
    shape = shapes.get(id)
    made = draft(shape.config, f"shape {id}", formats.get("bf16"))
    return from_draft(made, shape.name, shape.source, shape.standing)


def from_draft(made: Draft, name: str, source: str, standing: str) -> Outline:
    """The outline of the file that a config.json would become."""
    vocabulary = vocabulary_bytes(made.architecture, made.facts.integer("vocab_size", low=1))
    return _outline(name, made.metadata, made.tensors, source, standing, vocabulary)


def vocabulary_bytes(architecture: str, tokens: int) -> int:
    """About what a tokenizer takes in a GGUF file: tokens, their types, and scores or merges.

    Measured on files: 23 to 25 bytes a token with scores (SentencePiece: Llama 2, Gemma), 35 to 36 with as many merges
    as tokens (byte-level BPE: GPT-2, Falcon, SmolLM2), 61 with Llama 3's two merges a token.
    """
    if architecture.startswith("gemma") or tokens <= 32768:
        return 24 * tokens
    return (61 if tokens == LLAMA3_TOKENS else 36) * tokens


def _outline(
    name: str,
    metadata: Mapping[str, Any],
    tensors: Iterable[Tensor],
    source: str,
    standing: str,
    vocabulary_bytes: int = 0,
) -> Outline:
    """Raises FileFormatError for metadata that cannot be."""
    keys, tensors = Keys(metadata), tuple(tensors)
    experts, used = keys.number("expert_count"), keys.number("expert_used_count")
    if used > experts or (experts and not used):
        raise keys.error("expert_used_count", f"1 to {experts}, of {experts} experts", used)
    rows = {tensor.name: tensor.shape[0] for tensor in tensors}
    return Outline(
        name=name,
        architecture=keys.architecture,
        tensors=tensors,
        layers=layers(metadata, tensors),
        width=keys.number("embedding_length"),
        vocabulary=rows.get("token_embd.weight", keys.number("vocab_size")),
        heads=keys.largest("attention.head_count"),
        feed_forward=max(keys.largest("feed_forward_length"), keys.largest("expert_feed_forward_length")),
        experts=experts,
        experts_used=used,
        context=keys.number("context_length"),
        source=source,
        standing=standing,
        metadata=metadata,
        vocabulary_bytes=vocabulary_bytes,
    )
