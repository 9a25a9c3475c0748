"""A model's outline: its shape and every tensor's, with no weights read.

From a GGUF file, from config.json and safetensors, or from the built-in list of published models.
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
from bitwright.io import gguf, hub, kinds
from bitwright.io.aliases import ALIASES
from bitwright.io.values import Values
from bitwright.model.architectures import checkpoint, published
from bitwright.model.architectures.architecture import Architecture, read_architecture
from bitwright.model.architectures.blueprint import Blueprint, TensorSpec
from bitwright.model.architectures.families import blueprint
from bitwright.model.architectures.names import EXPERTS, LOOKED_UP, layer_number

LLAMA3_TOKENS = 128256


@dataclass(frozen=True)
class Outline(Architecture):
    """The parts of a model. tensors: as a GGUF file has them. source: where this was read. standing: how far it can be
    trusted, in words. metadata: of the GGUF file, or of the one that config.json would become. vocabulary_bytes: the
    estimated tokenizer in the latter; 0 for a GGUF file, whose metadata holds it."""

    name: str
    tensors: tuple[TensorSpec, ...]
    source: str
    standing: str
    metadata: Mapping[str, Any] = field(repr=False, compare=False)
    vocabulary_bytes: int = 0

    @property
    def parameters(self) -> int:
        """Number of weights in all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def active_parameters(self) -> int:
        """The parameters that take part in decoding one token."""
        return round(sum(self.share_read(t.name) * math.prod(t.shape) for t in self.tensors))

    @property
    def tied(self) -> bool:
        """Whether the embedding also serves as the output."""
        return all(tensor.name != "output.weight" for tensor in self.tensors)

    def share_read(self, name: str) -> float:
        """The share of a tensor that decoding one token reads: of experts, those used; of layers that predict further
        tokens, nothing; of the embedding, one row, which counts as nothing unless it is the output too."""
        return self._shares[name]

    def runs(self, name: str) -> bool:
        """Whether a tensor is needed to run the model: not those of layers that predict further tokens."""
        return layer_number(name) < self._running

    @cached_property
    def widest(self) -> int:
        """Values of a token that are alive at once in the widest part of a layer: gate, up and their product in a
        feed-forward, for as many experts as a token uses; or a state-space layer's projection, twice, and its convolved
        part."""
        most, used = 0, max(1, self.experts_used)
        convolved = {layer_number(t.name): t.shape[0] for t in self.tensors if t.name.endswith("ssm_conv1d.weight")}
        for tensor in self.tensors:
            part = tensor.name.removesuffix(".weight").rpartition(".")[2]
            if part == "ffn_down":
                most = max(most, 3 * tensor.shape[-1])
            elif part == "ffn_down_exps":
                most = max(most, 3 * used * tensor.shape[-1])
            elif part == "ssm_in":
                most = max(most, 2 * tensor.shape[0] + convolved.get(layer_number(tensor.name), 0))
        return most

    @cached_property
    def _running(self) -> int:
        return sum(layer.kind != "prediction" for layer in self.layers)

    @cached_property
    def _shares(self) -> dict[str, float]:
        experts = self.experts_used / self.experts if self.experts else 1.0
        found = {}
        for name in (tensor.name for tensor in self.tensors):
            if name in LOOKED_UP:
                found[name] = float(name == "token_embd.weight" and self.tied)
            else:
                found[name] = 0.0 if not self.runs(name) else experts if EXPERTS in name else 1.0
        return found


def outline(ref: str | Path) -> Outline:
    """The outline of a model: a GGUF file, a folder of config.json and safetensors, either of them on the hub
    (`hub.resolve`), or a published model by its name; of an adapter, what it becomes when it is merged. No weights are
    read.

    Raises UsageError if `ref` names nothing, FileFormatError or UnsupportedError if what it names is not a model of a
    known family, BitwrightError if it cannot be read.
    """
    ref = str(ref)
    path = Path(os.path.expanduser(ref))
    if ref in ALIASES:  # use its file if cached; an outline alone is not worth the download
        with contextlib.suppress(BitwrightError):
            return from_gguf(gguf.open(hub.resolve(ref, offline=True)))
    if "/" not in ref and not path.exists() and published.find(ref):
        return from_published(ref)
    if found := checkpoint.local(path) or checkpoint.remote(ref):
        made, standing = found
        return from_blueprint(made, path.parent.name if path.is_file() else path.name, ref, standing)
    return from_gguf(gguf.open(hub.resolve(ref, headers_only=True)))


def from_gguf(file: gguf.GGUF) -> Outline:
    """The outline of an open file; FileFormatError if it holds no tensors or no model."""
    kinds.check_model(file)
    if not file.tensors:
        raise FileFormatError(file.path, None, "the tensors of a model", "none, as in a vocabulary file")
    tensors = tuple(TensorSpec(t.name, tuple(t.shape), t.format) for t in file.tensors.values())
    name = Values(file.metadata).text("general.name", file.path.stem)
    return _outline(name, file.metadata, tensors, str(file.path), "read in the file")


def from_published(id: str) -> Outline:
    """The outline of a published model (`published.find`), with its weights as published. UnknownNameError with close
    ids."""
    model = published.get(id)
    made = blueprint(model.config, f"shape {model.id}", formats.get("bf16"))
    return from_blueprint(made, model.named(id), model.source, model.standing)


def from_blueprint(made: Blueprint, name: str, source: str, standing: str) -> Outline:
    """The outline of the file that a config.json would become."""
    vocabulary = vocabulary_bytes(made.architecture, made.values.integer("vocab_size", low=1))
    return _outline(name, made.metadata, made.tensors, source, standing, vocabulary)


def vocabulary_bytes(architecture: str, tokens: int) -> int:
    """Estimate the bytes of a tokenizer in a GGUF file: tokens, their types, and scores or merges.

    Measured on files: 23 to 25 bytes per token with scores (SentencePiece: Llama 2, Gemma), 35 to 36 with one merge
    per token (byte-level BPE: GPT-2, Falcon, SmolLM2), 61 with two (Llama 3).
    """
    if architecture.startswith("gemma") or tokens <= 32768:
        return 24 * tokens
    return (61 if tokens == LLAMA3_TOKENS else 36) * tokens


def _outline(
    name: str,
    metadata: Mapping[str, Any],
    tensors: Iterable[TensorSpec],
    source: str,
    standing: str,
    vocabulary_bytes: int = 0,
) -> Outline:
    """Raises FileFormatError for impossible metadata."""
    tensors = tuple(tensors)
    shape = read_architecture(Values.of_gguf(metadata), tensors)
    return Outline(**vars(shape), name=name, tensors=tensors, source=source, standing=standing, metadata=metadata,
                   vocabulary_bytes=vocabulary_bytes)  # fmt: skip
