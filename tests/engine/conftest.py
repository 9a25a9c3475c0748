"""Small models of random weights, opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import synthetic_model

from bitwright.engine import Engine, load


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Engine]:
    folder = tmp_path_factory.mktemp("models")

    def make(architecture: str) -> Engine:
        metadata = synthetic_model.metadata_of(architecture)
        path: Path = folder / f"{architecture}.gguf"
        return load(synthetic_model.write(path, metadata, synthetic_model.weights_of(metadata)))

    return make
