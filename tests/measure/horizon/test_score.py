"""The suite's measure: what one pass finds is what running free finds, and the figures follow from the texts."""

from __future__ import annotations

import numpy as np
import pytest

from bitwright.errors import UsageError
from bitwright.measure.horizon import original, score
from bitwright.measure.horizon.original import STEPS
from bitwright.measure.rollout import writing
from bitwright.measure.rollout.free_running import parting


@pytest.fixture(scope="module")
def written(models, items, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return original.write(models["f32"], items)


def test_one_pass_finds_where_free_running_parts(models, written) -> None:
    """Also past an end of text, which is a token like any other."""
    found = score.score(written, models["q4_0"])
    prompts = [rollout.prompt for rollout in written.rollouts]
    own = writing.write(writing.fitted(models["q4_0"], 128), prompts, STEPS, ends=False)
    expected = [parting(theirs, ours) for theirs, ours in zip(written.rollouts, own, strict=True)]
    assert [r.first_divergence for r in found.readings] == expected and len(set(expected) - {None}) > 1
    assert all(len(rollout) == STEPS for rollout in written.rollouts)
    whole = found.whole.candidate
    assert whole.identical.estimate == expected.count(None) / 24
    assert whole.aligned.estimate == np.mean([STEPS if step is None else step - 1 for step in expected])
    assert whole.parted_at.estimate == pytest.approx(np.mean([step for step in expected if step]))


def test_an_end_of_text_is_an_ordinary_token(models, items, monkeypatch) -> None:
    tokenizer = models["f32"].tokenizer
    expected = [rollout.tokens.tolist() for rollout in original.write(models["f32"], items[:3]).rollouts]
    monkeypatch.setattr(tokenizer, "end_of_generation", {expected[0][4]})
    prompts = [rollout.prompt for rollout in original.write(models["f32"], items[:3]).rollouts]
    assert [r.tokens.tolist() for r in writing.write(models["f32"], prompts, STEPS, ends=False)] == expected
    assert len(writing.write(models["f32"], prompts, STEPS)[0]) == 5


def test_figures_by_kind_and_whole(models, written) -> None:
    found = score.score(written, models["q4_0"])
    assert list(found.parts) == ["all", "code", "scripts"]
    whole, halves = found.whole, [found.parts[kind] for kind in ("code", "scripts")]
    assert whole.candidate.prompts == 24 and [half.candidate.prompts for half in halves] == [12, 12]
    for name in ("aligned", "divergence", "same_top1"):
        own, parts = getattr(whole.candidate, name), [getattr(half.candidate, name) for half in halves]
        assert own.estimate == pytest.approx(np.mean([part.estimate for part in parts]))
        assert own.of == "prompts" and own.clusters == 24 and own.low < own.estimate < own.high
    assert whole.flips.estimate == pytest.approx(1 - whole.candidate.same_top1.estimate)
    assert whole.sure_flips.estimate <= whole.flips.estimate
    assert whole.first.survival.share[-1] == pytest.approx(whole.candidate.identical.estimate)
    assert whole.first.survival.share[1:].sum() == pytest.approx(whole.candidate.aligned.estimate)
    below = whole.margins.below
    assert [m for m, *_ in below] == sorted(score.MARGINS) and below[0][1] <= below[-1][1] <= 1
    assert whole.margins.original < whole.margins.everywhere, "texts part where the original was less sure"
    assert whole.margins.candidate > 0 and 0 <= whole.margins.ties <= whole.first.survival.events


def test_intervals_stay_within_what_is_possible(models, items) -> None:
    """Ten prompts, half of them identical: between 0 and 32 tokens, not below."""
    written = original.write(models["f32"], items[:10])
    found = score.score(written, models["q8_0"]).whole
    for of in (found.candidate.aligned, found.candidate.same_top1, found.flips, found.sure_flips):
        assert 0 <= of.low <= of.estimate <= of.high <= (STEPS if of is found.candidate.aligned else 1)


def test_the_floors_are_the_original_computed_otherwise(models, written) -> None:
    found = score.score(written, models["f32"])
    assert found.whole.candidate.identical.estimate == 1 and found.whole.candidate.divergence.estimate < 1e-9
    first, ggml = written.floors
    assert first.endswith("log-probabilities in 16 bits") and ggml == "activations rounded as llama.cpp does"
    floor = found.whole.floors[first]
    assert 0 < floor.divergence.estimate < 1e-4 and floor.identical.estimate > 0.7
    assert found.whole.first.survival.above_floor is not None, "the floor stands beside the figures, not in them"
    q4 = score.score(written, models["q4_0"]).whole
    assert [f.divergence for f in q4.floors.values()] == [f.divergence for f in found.whole.floors.values()]
    assert q4.candidate.divergence.estimate > 100 * floor.divergence.estimate


def test_the_original_is_kept_and_mended(models, items, cache) -> None:
    written = original.write(models["f32"], items)
    files = sorted(cache.rglob("*.npz"))
    times = {path: path.stat().st_mtime_ns for path in files}
    assert len(files) == 12, "equal prompts of both kinds share a file"
    files[0].write_bytes(b"PK\x03\x04" + bytes(40))
    files[1].unlink()
    again = original.write(models["f32"], items)
    changed = [path for path in files if path.stat().st_mtime_ns != times[path]]
    assert changed == files[:2]
    for ours, theirs in zip(again.rollouts, written.rollouts, strict=True):
        assert ours.tokens.tolist() == theirs.tokens.tolist()
    assert again.ids_sha256 == written.ids_sha256


def test_models_that_do_not_fit(models, items, monkeypatch) -> None:
    monkeypatch.setattr(original, "STEPS", 600)
    with pytest.raises(UsageError, match="was trained on 512 tokens"):
        original.write(models["f32"], items)
