"""What the pages are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bitwright.explorer.models import Models
from bitwright.fit.known import known
from bitwright.io.gguf import GGUF
from bitwright.measure.layer import Layer, early_layer
from bitwright.model import files
from bitwright.model.model import Model


@dataclass(frozen=True)
class Subject:
    """A model, and what was measured on it.

    name: as the user calls it. report: what `compare` or `eval` wrote with -o, if given. history: what `fit` wrote
    with --history, if given. live: whether questions are answered; an exported site shows what was recorded. threads:
    None for all cores.
    """

    path: Path
    name: str
    report: Path | None = None
    history: Path | None = None
    live: bool = True
    threads: int | None = None

    @cached_property
    def file(self) -> GGUF:
        """The model's file."""
        return files.open(self.path)

    @cached_property
    def models(self) -> Models:
        """The model, and what recipes make of it, ready to run."""
        return Models(self.file, self.threads)

    @cached_property
    def layer(self) -> Layer:
        """A matrix of the model with its real inputs. BitwrightError if the engine does not run the model."""
        return early_layer(Model.from_gguf(self.file), self.threads)

    @cached_property
    def known(self) -> Mapping[str, Any]:
        """Where the model needs its bits. UsageError if the history given is another model's."""
        return known(self.file, self.history, self.threads)
