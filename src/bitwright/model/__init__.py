"""From a model file to what it computes: configuration, tokenizer, chat template, and a `Step` per architecture."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.model.config import ARCHITECTURES, Config
from bitwright.model.weights import Weights

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.kernels.ops import Step
    from bitwright.model.tokenizer import Tokenizer

__all__ = ["ARCHITECTURES", "Config", "Weights", "build", "load_tokenizer"]


def build(config: Config, weights: Weights) -> Step:
    """The step of a configuration, every tensor's shape checked.

    Raises FileFormatError naming a tensor that is missing or of another shape, BitwrightError for one left over.
    """
    step: Step = importlib.import_module(f"bitwright.model.{config.architecture}").step(config, weights)
    weights.check_all_used(config.architecture)
    return step


def load_weights(file: GGUF) -> Weights:
    """All tensors of an open file, as views of it."""
    return Weights({name: file.tensor(name) for name in file.tensors}, file.path)


def load_tokenizer(ref: str | Path) -> Tokenizer:
    """The tokenizer of a model: a path, `org/name[:QUANT]` on the hub, or an alias. Needs no tensors in the file."""
    from bitwright.io import gguf, hub
    from bitwright.model.tokenizer import Tokenizer

    return Tokenizer.from_gguf(gguf.open(hub.resolve(ref)))
