"""The store of a reference's predictions: exact where it claims to be, unbiased elsewhere, safe to interrupt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import Engine, load
from bitwright.errors import UsageError
from bitwright.measure import reference
from bitwright.measure.condensed import FEWEST_KEPT, TAIL, condense, kept_for
from bitwright.measure.scoring import scored_logits
from bitwright.measure.softmax import log_probabilities, negative_log_likelihoods
from bitwright.measure.windows import cut


def peaked(rows: int, vocabulary: int, seed: int = 0) -> np.ndarray:
    """Logits whose probabilities fall off like a language model's (Zipf), in random order."""
    random = np.random.default_rng(seed)
    fall = -1.3 * np.log(np.arange(1, vocabulary + 1)) + 0.3 * random.standard_normal((rows, vocabulary))
    return random.permuted(fall, axis=1).astype(np.float32)


def exact(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p || q) of logits (n, vocabulary), over the whole vocabulary."""
    pairs = [(log_probabilities(a), log_probabilities(b)) for a, b in zip(p, q, strict=True)]
    return np.array([np.exp(a) @ (a - b) for a, b in pairs])


def test_the_likeliest_are_kept_exactly() -> None:
    logits = peaked(5, 3000)
    found = condense(logits, 64, np.random.default_rng(0))
    for row, ids, log_p, rest in zip(logits, found.ids, found.log_p, found.rest, strict=True):
        all_log_p = log_probabilities(row)
        np.testing.assert_array_equal(ids[:64], np.argsort(-row, kind="stable")[:64])
        np.testing.assert_allclose(log_p, all_log_p[ids], rtol=1e-14)
        assert rest == pytest.approx(np.exp(np.sort(all_log_p)[:-64]).sum())
        assert not set(ids[:64]) & set(ids[64:])


def test_a_divergence_estimate_has_no_bias_and_the_right_error() -> None:
    """Over many draws of the sample, the mean is the exact value and the spread is the claimed error."""
    p = peaked(40, 3000)
    q = p + 0.3 * np.random.default_rng(1).standard_normal(p.shape).astype(np.float32)
    truth, draws, claimed = exact(p, q), [], []
    for seed in range(60):
        values, variance = condense(p, 64, np.random.default_rng(seed)).divergence(q)
        draws.append(values.mean())
        claimed.append(np.sqrt(variance.sum()) / len(p))
    spread = np.std(draws)
    assert np.mean(draws) == pytest.approx(truth.mean(), abs=4 * spread / np.sqrt(len(draws)))
    assert spread == pytest.approx(np.mean(claimed), rel=0.25)  # 60 draws know their spread to 9%
    assert spread < 0.1 * truth.mean()


def test_a_whole_vocabulary_is_exact() -> None:
    p, q = peaked(6, 100), peaked(6, 100, seed=1)
    kept = kept_for(p)
    assert kept == 100
    values, variance = condense(p, kept, np.random.default_rng(0)).divergence(q)
    np.testing.assert_allclose(values, exact(p, q), rtol=1e-12)
    assert not variance.any()


def test_enough_probability_is_kept() -> None:
    logits = 1.2 * peaked(20, 20000)
    kept = kept_for(logits)
    assert kept.bit_count() == 1 and kept > FEWEST_KEPT
    assert condense(logits, kept, np.random.default_rng(0)).rest.mean() <= TAIL
    assert condense(logits, kept // 2, np.random.default_rng(0)).rest.mean() > TAIL


@pytest.fixture(scope="module")
def engine(stories260k: Path) -> Engine:
    return load(stories260k)


@pytest.fixture(scope="module")
def windows(engine, data: Path):
    return cut(engine.tokenizer, (data / "text/tinystories/tiny.utf8").read_text()[:3000], 64, 6)


def test_the_store_holds_the_models_predictions(engine, windows, tmp_path) -> None:
    store = reference.store_reference(engine, windows, tmp_path)
    session = engine.session()
    for index, ids in enumerate(windows.ids):
        logits, targets = next(scored_logits(session, ids, windows.first))
        chunk = store.chunk(index)
        np.testing.assert_array_equal(chunk.losses, negative_log_likelihoods(logits, targets))
        np.testing.assert_array_equal(chunk.top, logits.argmax(1))
        other = logits[:, ::-1]
        np.testing.assert_allclose(chunk.divergence(3, other[3:])[0], exact(logits, other)[3:], rtol=1e-9)
        np.testing.assert_allclose(chunk.divergence(0, logits)[0], 0, atol=1e-12)


def test_a_second_run_reads_and_a_longer_one_adds(engine, windows, tmp_path) -> None:
    assert reference.store_reference(engine, windows.some(3), tmp_path).computed == 3
    again = reference.store_reference(engine, windows.some(3), tmp_path)
    assert (again.computed, again.damaged) == (0, 0)
    assert reference.store_reference(engine, windows, tmp_path).computed == 3


def test_a_killed_run_continues(engine, windows, tmp_path) -> None:
    class Killed(Exception):
        pass

    def kill(done: float, total: float, note: str) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        reference.store_reference(engine, windows, tmp_path, progress=kill)
    assert reference.store_reference(engine, windows, tmp_path).computed == len(windows) - 2


@pytest.mark.parametrize("part", [".bitwright-0123456789ab.part", ".about.json.x1.part"])
def test_a_run_killed_before_its_description_is_named_locks_nothing(engine, windows, tmp_path, part) -> None:
    (tmp_path / part).write_text('{"store"')
    assert reference.store_reference(engine, windows.some(1), tmp_path).computed == 1


def test_every_flipped_bit_is_noticed_or_harmless(engine, windows, tmp_path) -> None:
    """In what the archive says about itself, and in places spread over the arrays."""
    store = reference.store_reference(engine, windows.some(1), tmp_path)
    path, before = store._path(0), store.chunk(0)
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    heads = [at + n for at in range(directory) if data[at : at + 4] == b"PK\x03\x04" for n in range(0, 200, 9)]
    noticed = 0
    for number, place in enumerate([*range(directory, len(data), 5), *heads, *range(0, directory, 4999)]):
        flipped = bytearray(data)
        flipped[place] ^= 1 << number % 8
        path.write_bytes(flipped)
        found = store.read(0)
        noticed += found is None
        if found is not None:
            assert np.array_equal(found.losses, before.losses)
            assert all(np.array_equal(getattr(found.distributions, n), getattr(before.distributions, n))
                       for n in (*reference.ARRAYS, "kept"))  # fmt: skip
    assert noticed == store.damaged > 50


def test_arrays_of_another_chunk_are_noticed(engine, windows, tmp_path) -> None:
    store = reference.store_reference(engine, windows.some(1), tmp_path)
    with np.load(store._path(0)) as file:
        arrays = dict(file)
    for name, array in {
        "losses": arrays["losses"][1:],
        "ids": arrays["ids"] + store.vocabulary,
        "kept": np.array(0),
        "rest": arrays["rest"].astype(int),
    }.items():
        np.savez(store._path(0), **arrays | {name: array})
        assert store.read(0) is None, name
    assert store.damaged == 4


@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied"])
def test_a_damaged_chunk_is_computed_again(engine, windows, tmp_path, damage) -> None:
    store = reference.store_reference(engine, windows, tmp_path)
    before = store.chunk(2).divergence(0, next(scored_logits(engine.session(), windows.ids[0], windows.first))[0])[0]
    path = store._path(2)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"flipped": data, "truncated": data[: len(data) // 2], "emptied": b""}[damage])
    again = reference.store_reference(engine, windows, tmp_path)
    assert (again.computed, again.damaged) == (1, 1)
    after = again.chunk(2).divergence(0, next(scored_logits(engine.session(), windows.ids[0], windows.first))[0])[0]
    np.testing.assert_array_equal(after, before)


def test_another_models_store_is_refused(engine, windows, tmp_path, stories260k) -> None:
    reference.store_reference(engine, windows.some(1), tmp_path)
    with pytest.raises(UsageError, match="another reference: its kv is f16, expected bf16"):
        reference.store_reference(load(stories260k, kv="bf16"), windows.some(1), tmp_path)
    with pytest.raises(UsageError, match="another reference: its sha256"):
        reference.store_reference(engine, windows.some(1), tmp_path, digest="0" * 64)
    (tmp_path / "about.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        reference.store_reference(engine, windows.some(1), tmp_path)
    (tmp_path / "about.json").unlink()
    with pytest.raises(UsageError, match="neither empty nor a store"):
        reference.store_reference(engine, windows.some(1), tmp_path)


def test_the_store_is_in_bitwrights_cache(engine, windows, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    store = reference.store_reference(engine, windows.some(1))
    assert store.folder.parent == tmp_path / "references" and store.folder.name.startswith("stories260K")
    about = json.loads((store.folder / "about.json").read_text())
    assert about["model"] == "stories260K.f32.gguf" and len(about["sha256"]) == 64 and about["kept"] == 512


@pytest.mark.parametrize("damage", [None, "", "{", "[]", "[" * 9999, '{"store": 1}', "other kept", "other sha256"])
def test_a_damaged_description_does_not_lock_the_cache(engine, windows, tmp_path, monkeypatch, damage) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    store = reference.store_reference(engine, windows.some(1))
    path = store.folder / "about.json"
    about = json.loads(path.read_text())
    path.unlink()
    if damage is not None:
        name = damage.removeprefix("other ")
        path.write_text(json.dumps(about | {name: "x"}) if name in about else damage)
    again = reference.store_reference(engine, windows)
    assert again.folder == store.folder and (again.computed, again.damaged) == (len(windows) - 1, 0)
    assert json.loads(path.read_text()) == about


def test_too_little_memory_is_no_damage(engine, windows, tmp_path, monkeypatch) -> None:
    store = reference.store_reference(engine, windows.some(1), tmp_path)

    def scarce(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "load", scarce)
    with pytest.raises(MemoryError):
        store.read(0)
    assert store.damaged == 0
