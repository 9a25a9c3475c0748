"""Small models of random weights, opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic_model

from bitwright.engine import Engine, load


@pytest.fixture(autouse=True)
def same_texts() -> None:
    """Every test draws the same texts, whatever ran before it."""
    import test_batch

    test_batch.RANDOM = np.random.default_rng(5)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Engine]:
    return maker(tmp_path_factory.mktemp("models"), synthetic_model.CONTEXT)


@pytest.fixture(scope="module")
def make_long(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Engine]:
    """With room for texts of several pages."""
    return maker(tmp_path_factory.mktemp("models"), 512)


@pytest.fixture(scope="module")
def make_longer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Engine]:
    """With room for texts of several steps."""
    return maker(tmp_path_factory.mktemp("models"), 4096)


def maker(folder: Path, context: int) -> Callable[[str], Engine]:
    def make(architecture: str) -> Engine:
        metadata = synthetic_model.metadata_of(architecture) | {f"{architecture}.context_length": context}
        path: Path = folder / f"{architecture}.gguf"
        return load(synthetic_model.write(path, metadata, synthetic_model.weights_of(metadata)))

    return make
