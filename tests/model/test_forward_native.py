"""The native engine with float32 weights equals the reference forward up to rounding (reference_compare.compare).

This compares everything except the integer kernels with an independent implementation: real models on real text, and
synthetic ones where there is no real file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import synthetic_model
from dequantized import Dequantized
from reference_compare import compare
from reference_forward import log_softmax
from test_forward import MODELS, some_ids, synthetic

from bitwright.engine import Engine, generate, load

POSITIONS = 64


def log_probabilities(engine: Engine, ids: list[int]) -> np.ndarray:
    return log_softmax(engine.session().logits(ids).astype(np.float64))


@pytest.mark.parametrize("name", MODELS)
def test_synthetic_models(tmp_path: Path, name: str) -> None:
    metadata, weights = synthetic(name)
    engine = load(synthetic_model.write(tmp_path / "m.gguf", metadata, weights))
    ids = some_ids(40)
    compare(metadata, weights, ids, log_probabilities(engine, ids), runs=2)


def test_longrope_rotates_a_text_by_what_its_context_may_become(tmp_path: Path) -> None:
    """Beyond the original context, other divisors count, from the first token on."""
    metadata = synthetic_model.metadata_of("phi3", rope__scaling__original_context_length=30)
    weights = synthetic_model.weights_of(metadata)
    engine, ids = load(synthetic_model.write(tmp_path / "m.gguf", metadata, weights)), some_ids(28)
    stretched = weights | {"rope_factors_short.weight": weights["rope_factors_long.weight"]}
    for context, right, wrong in ((31, stretched, weights), (30, weights, stretched), (90, stretched, weights)):
        got = log_probabilities(engine.replace(context=context), ids)
        compare(metadata, right, ids, got)
        with pytest.raises(AssertionError, match="allowed"):
            compare(metadata, wrong, ids, got)


def test_stories260k(stories260k: Path, data: Path) -> None:
    file = Dequantized(stories260k)
    engine = file.engine()
    text = (data / "text/tinystories/tiny.utf8").read_text()[:600]
    ids = engine.tokenizer.encode(text)[:POSITIONS]
    assert len(ids) == POSITIONS
    compare(file.metadata, file.arrays, ids, log_probabilities(engine, ids), runs=3)


def test_stories260k_goldens(stories260k: Path) -> None:
    """Greedy ids exactly. Log-probabilities were made with a float64 cache; ours is float16 (2**-11 relative)."""
    golden = json.loads((stories260k.parent / "golden.json").read_text())
    engine = load(stories260k)
    ids = golden["greedy_from_bos"]
    assert list(generate(engine.session(), ids[:1], max_tokens=len(ids) - 1)) == ids[1:]
    for prompt in golden["prompts"]:
        last = log_probabilities(engine, prompt["ids"])[-1]
        assert np.argsort(-last)[0] == prompt["top10_ids"][0]
        np.testing.assert_allclose(last[prompt["top10_ids"]], prompt["top10_logprob"], rtol=0, atol=0.01)


@pytest.mark.slow  # NumPy takes long for them; test_stories260k is the same for a small one
@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_real_models_on_real_text(name: str, data: Path, request: pytest.FixtureRequest) -> None:
    file = Dequantized(request.getfixturevalue(name))
    engine = file.engine(POSITIONS)
    text = (data / "text/wikitext-2/valid.txt").read_text()[:1500]
    ids = engine.tokenizer.encode(text)[:POSITIONS]
    assert len(ids) == POSITIONS
    compare(file.metadata, file.arrays, ids, log_probabilities(engine, ids))
