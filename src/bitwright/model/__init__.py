"""Reading models: configuration, tokenizer, chat template, and a `Step` per architecture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.model.config import Config
from bitwright.model.steps import ARCHITECTURES, build
from bitwright.model.weights import Weights

if TYPE_CHECKING:
    from bitwright.model.tokenizer import Tokenizer

__all__ = ["ARCHITECTURES", "Config", "Weights", "build", "load_tokenizer"]


def load_tokenizer(ref: str | Path) -> Tokenizer:
    """The tokenizer of a model: a path, `org/name[:QUANT]` on the hub, or an alias. Needs no tensors in the file."""
    from bitwright.model import files
    from bitwright.model.tokenizer import Tokenizer

    return Tokenizer.from_gguf(files.open(ref))
