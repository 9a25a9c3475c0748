"""Costs from gradients: each dot against finite differences, their mean against the divergence they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic_model

from bitwright import formats
from bitwright.calibration.labels import sampled
from bitwright.errors import UsageError
from bitwright.fit import gradients
from bitwright.fit.gradients import Sums, gradient_sums
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels.tape import Tape
from bitwright.model.model import Model, load

TENSORS = ("token_embd.weight", "blk.0.attn_v.weight", "blk.1.attn_q.weight", "blk.1.ffn_down.weight")
EXPERTS = ("blk.0.ffn_up_exps.weight", "blk.1.ffn_down_exps.weight")
F32, F16, Q8, Q4K = (formats.get(name) for name in ("f32", "f16", "q8_0", "q4_k"))
TOKENS = 24
PIECES = np.random.default_rng(0).integers(0, synthetic_model.VOCABULARY, (3, TOKENS)).astype(np.int32)
STEP = 0.02  # of a random change, in standard deviations of the weights


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    metadata = synthetic_model.metadata_of("gemma3", block_count=2)
    weights = synthetic_model.weights_of(metadata, tied=request.param)
    return load(synthetic_model.write(tmp_path_factory.mktemp("model") / "m.gguf", metadata, weights))


def changed(model: Model) -> Callable[[str, Format], QuantizedTensor]:
    """Every tensor in float32 with a small random change; in other formats, as they round it."""

    def encoded(name: str, format: Format) -> QuantizedTensor:
        values = model.tensors[name].dequantize()
        if format is F32:
            seed = (*TENSORS, *EXPERTS).index(name)
            values = values + np.random.default_rng(seed).standard_normal(values.shape) * values.std() * STEP
        return QuantizedTensor(name, values.shape, format, format.quantize(values.astype(np.float32)))

    return encoded


def predictions(model: Model, piece: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Log-probabilities (tokens, vocabulary) in float64, with some weights replaced."""

    def weight(name: str, rows: np.ndarray | None) -> np.ndarray:
        full = weights[name] if name in weights else model.tensors[name].dequantize().astype(np.float64)
        return full if rows is None else full[rows]

    logits = np.concatenate([part for _, part in Tape(model.step, model.tensors, weight, np.float64).logits(piece)])
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_a_dot_is_the_slope_of_the_labels_likelihood(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every chunk and tensor, also one that two ops read; slices end within a tensor."""
    monkeypatch.setattr(gradients, "SLICE", 40 * synthetic_model.WIDTH)
    slopes(model, TENSORS)


def test_a_dot_of_experts_is_the_slope_too(tmp_path: Path) -> None:
    metadata = synthetic_model.metadata_of("qwen3moe", block_count=2)
    slopes(load(synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata))), EXPERTS)


def slopes(model: Model, tensors: tuple[str, ...]) -> None:
    """Compares the dots of some tensors with finite differences."""
    encoded = changed(model)
    dots = gradient_sums(model, PIECES, tensors, [F32, Q8], encoded, seed=7, threads=2).dots
    assert dots.shape == (3, len(tensors), 2)
    for place, name in enumerate(tensors):
        before = model.tensors[name].dequantize().astype(np.float64)
        for level, format in enumerate((F32, Q8)):
            change = encoded(name, format).dequantize() - before
            for number, piece in enumerate(PIECES):
                up, down = (predictions(model, piece, {name: before + sign * 1e-3 * change}) for sign in (1, -1))
                labels = (sampled(7, number, TOKENS)(slice(0, TOKENS), predictions(model, piece, {})) > 0).argmax(
                    axis=1
                )
                slope = (up - down)[np.arange(TOKENS), labels].sum() / 2e-3
                assert dots[number, place, level] == pytest.approx(
                    slope, rel=2e-3, abs=1e-4 * abs(dots[:, place]).max()
                )


def test_they_predict_the_divergence(model: Model) -> None:
    """The same chunk with 100 draws of labels: within four standard errors of the divergence of a small change.

    Rows apart, ten draws are enough; what is left is that the rows of one random change do not quite cancel."""
    draws, encoded, ratios = 100, changed(model), []
    sums = gradient_sums(model, np.tile(PIECES[:1], (draws, 1)), TENSORS, [F32], encoded, threads=1)
    base = predictions(model, PIECES[0], {})
    for place, name in enumerate(TENSORS):
        after = predictions(model, PIECES[0], {name: encoded(name, F32).dequantize().astype(np.float64)})
        divergence = (np.exp(base) * (base - after)).sum(axis=1).mean()
        assert sums.coherent[place, 0] == pytest.approx(divergence, rel=4 * np.sqrt(2 / draws)), name
        ratios.append(sums.costs[place, 0] / divergence)
        means = sums.squares[:, place, 0].reshape(-1, 10).mean(axis=1)
        assert means.std() < 0.2 * means.mean()
    assert np.exp(np.log(ratios).mean()) == pytest.approx(1, abs=0.3)


def test_squares_are_those_of_single_rows(model: Model) -> None:
    """The squares of a change in three rows are the sum of those of each alone, whatever their dots make together."""
    name, rows = "blk.0.attn_v.weight", (2, 3, 40)

    def sums(*rows: int) -> Sums:
        def encoded(name: str, format: Format) -> QuantizedTensor:
            values = model.tensors[name].dequantize()
            values[list(rows)] += np.random.default_rng(0).standard_normal(values.shape).astype(np.float32)[list(rows)]
            return QuantizedTensor(name, values.shape, format, format.quantize(values))

        return gradient_sums(model, PIECES, [name], [F32], encoded, threads=1)

    alone = [sums(row) for row in rows]
    for own in alone:
        np.testing.assert_allclose(own.squares, own.dots**2, rtol=1e-5)
    np.testing.assert_allclose(sums(*rows).squares, sum(own.squares for own in alone), rtol=1e-5)
    np.testing.assert_allclose(sums(*rows).dots, sum(own.dots for own in alone), rtol=1e-5)


def test_a_seed_gives_the_same_dots(model: Model) -> None:
    def run(seed: int) -> np.ndarray:
        return gradient_sums(model, PIECES, TENSORS[1:3], [Q8], changed(model), seed=seed, threads=2).squares

    assert np.array_equal(run(1), run(1)) and not np.array_equal(run(1), run(2))


def test_formats_that_cannot_be_used(model: Model) -> None:
    """Rows of 64 hold no superblock of 256; what is ruled out is never asked for; the format it has changes nothing."""
    allowed = np.array([[True, False, True], [True, True, False]])

    def encoded(name: str, format: Format) -> QuantizedTensor:
        assert (name, format) not in {(TENSORS[1], Q8), (TENSORS[2], F16)}
        return model.tensors[name] if format is F32 else changed(model)(name, format)

    costs = gradient_sums(model, PIECES[:1], TENSORS[1:3], [F32, Q8, F16], encoded, allowed).costs
    assert (np.isfinite(costs) == allowed).all() and (costs[:, 0] == 0).all() and costs[allowed][1] > 0
    assert np.isinf(gradient_sums(model, PIECES[:1], TENSORS[1:2], [Q4K], encoded).costs).all()


def test_a_killed_run_resumes(model: Model, tmp_path: Path) -> None:
    keep, seen = tmp_path / "sums", []

    def stop(done: int, total: int, note: str) -> None:
        seen.append(done)
        if done == 2 and len(seen) == 2:
            raise KeyboardInterrupt

    def run(seed: int = 0, keep: Path | None = keep) -> np.ndarray:
        return gradient_sums(model, PIECES, TENSORS[1:], [Q8], changed(model), None, seed, 1, stop, keep).squares

    with pytest.raises(KeyboardInterrupt):
        run()
    found = run()
    assert seen == [1, 2, 3] and np.array_equal(found, run(keep=None))
    assert np.array_equal(found, run()) and seen == [1, 2, 3, 1, 2, 3]  # a finished run is not computed again
    [path] = keep.iterdir()
    assert not np.array_equal(run(seed=1), found) and len([*keep.iterdir()]) == 2  # another run has a file of its own
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UsageError, match=rf"damaged .*: remove .*{path.name} to begin anew"):
        run()


def test_fewer_chunks_if_the_first_took_long(model: Model, tmp_path: Path) -> None:
    """What a limit says after the first chunk; asked again when a run resumes."""
    asked: list[float] = []

    def limit(seconds: float) -> int:
        asked.append(seconds)
        return 2

    def run(pieces: np.ndarray, limit: Callable[[float], int] | None = None) -> Sums:
        return gradient_sums(model, pieces, TENSORS[1:2], [Q8], changed(model), threads=1, keep=tmp_path, limit=limit)

    first, again = run(PIECES, limit), run(PIECES, limit)
    assert np.array_equal(first.costs, run(PIECES[:2]).costs) and np.array_equal(first.costs, again.costs)
    assert len(asked) == 2 and asked[0] > 0 == asked[1]


def test_a_tensor_that_no_product_reads(model: Model) -> None:
    with pytest.raises(UsageError, match=r"output_norm\.weight: no product or look-up of m\.gguf reads this tensor"):
        gradient_sums(model, PIECES, ["output_norm.weight"], [F16], changed(model))
