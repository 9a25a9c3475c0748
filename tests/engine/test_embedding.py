"""Texts as vectors, pooled as the file says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import Engine, embedding, load
from bitwright.engine.embedding import Embedder
from bitwright.errors import UnsupportedError, UsageError


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Engine:
    return load(smollm2, context=256)


def pooled(engine: Engine, pooling: object) -> Embedder:
    metadata = {**engine.model.metadata, "llama.pooling_type": pooling}
    return Embedder(Engine(replace(engine.model, metadata=metadata), engine.options))


def rows(engine: Engine, ids: list[int]) -> np.ndarray:
    """The last layer's output after the final norm (tokens, width)."""
    program = engine.program()
    memory = engine.backend.memory(program, engine.context, 1, len(ids), "f16")
    n = np.arange(len(ids))
    return engine.backend.executor(program.headless(), len(ids)).run(memory, ids, n, 0 * n, n)


def test_a_text_is_the_mean_of_its_tokens_or_what_the_file_says(engine: Engine) -> None:
    ids = engine.tokenizer.encode("One, two, three and so on, up to a hundred. " * 12)
    found = rows(engine, ids)
    assert len(ids) > 2 * embedding.PIECE
    for pooling, expected in ((None, found.mean(0)), (1, found.mean(0)), (2, found[0]), (3, found[-1])):
        embedder = Embedder(engine) if pooling is None else pooled(engine, pooling)
        for _ in range(2):  # nothing is left of an earlier text
            np.testing.assert_allclose(embedder(ids), expected / np.linalg.norm(expected), atol=1e-6)


def test_texts_that_fit_and_poolings_that_are_known(engine: Engine) -> None:
    embedder = Embedder(engine)
    assert embedder([5] * 256).shape == (576,)
    for wrong in ([], [5] * 257):
        with pytest.raises(UsageError, match="1 to 256 tokens"):
            embedder(wrong)
    for unknown in (4, "mean", [1]):
        with pytest.raises(UnsupportedError, match="pooling_type"):
            pooled(engine, unknown)
