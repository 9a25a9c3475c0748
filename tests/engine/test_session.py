"""Sessions: the logits do not depend on how tokens are fed or on what shares the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic_model

import bitwright as bw
from bitwright.engine import Engine, Session, load
from bitwright.engine import session as session_module
from bitwright.errors import UsageError
from bitwright.kernels import KV, Oracle

IDS = np.random.default_rng(3).integers(0, synthetic_model.VOCABULARY, 60).tolist()
# The same sums in another order: single tokens and larger batches use different kernels.
close = {"rtol": 0, "atol": 2e-2}


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "granitehybrid", "lfm2", "qwen35"])
def test_tokens_one_by_one_in_pieces_and_at_once(
    make: Callable[[str], Engine], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make(architecture)
    whole = engine.session().logits(IDS)
    assert whole.shape == (60, 160) and whole.dtype == np.float32
    singly = engine.session()
    np.testing.assert_allclose([singly.step(id) for id in IDS], whole, **close)
    in_two = engine.session()
    np.testing.assert_allclose(in_two.prefill(IDS[:37]), whole[36], **close)
    np.testing.assert_allclose(in_two.prefill(IDS[37:]), whole[59], **close)
    assert in_two.position == 60
    monkeypatch.setattr(session_module, "BATCH", 7)
    batches = engine.session()
    np.testing.assert_allclose(batches.logits(IDS), whole, **close)
    batches.reset()
    np.testing.assert_allclose(batches.extend(IDS, [0, 6, 7, 58]), whole[[0, 6, 7, 58]], **close)
    batches.reset()
    assert batches.extend(IDS, []).shape == (0, 160) and batches.position == 60


@pytest.mark.parametrize("architecture", ["gemma3", "granitehybrid", "lfm2", "qwen35"])
def test_rewinding_forgets_what_came_after(make: Callable[[str], Engine], architecture: str) -> None:
    engine = make(architecture)
    expected = engine.session().logits(IDS)
    session = engine.session()
    session.prefill([*IDS[:30], 5, 6, 7, 8])
    session.reset(keep=30)
    assert session.position == 30
    np.testing.assert_allclose(session.logits(IDS[30:]), expected[30:], **close)
    session.reset()
    np.testing.assert_allclose(session.prefill(IDS), expected[-1], **close)
    with pytest.raises(UsageError, match="sequence 0 can keep 0 to 60 tokens, not 61"):
        session.reset(keep=61)


@pytest.mark.parametrize("architecture", ["llama", "qwen35", "lfm2"])
def test_a_session_goes_on_after_a_run_that_was_interrupted_or_failed(
    make: Callable[[str], Engine], architecture: str
) -> None:
    engine = make(architecture)
    expected = engine.session().logits(IDS)
    session = engine.session()
    session.prefill(IDS[:30])
    session.executor.run(session.memory, [1, 2], [30, 31], [0, 0], [])  # of which the session does not know
    np.testing.assert_allclose(session.logits(IDS[30:40]), expected[30:40], **close)
    session.memory.drop(0)  # as a failure leaves a sequence that has states
    np.testing.assert_allclose(session.logits(IDS[40:]), expected[40:], **close)
    session.memory.drop(0)
    session.reset(keep=20)
    np.testing.assert_allclose(session.logits(IDS[20:]), expected[20:], **close)


def test_sequences_do_not_see_each_other(make: Callable[[str], Engine]) -> None:
    engine = make("llama")
    texts = {0: IDS[:20], 2: IDS[20:33], 1: IDS[33:60]}
    alone = {sequence: engine.session().logits(ids) for sequence, ids in texts.items()}
    session = engine.session(sequences=3)
    first = session.advance({sequence: ids[:-2] for sequence, ids in texts.items()})
    for row, sequence in enumerate(texts):
        np.testing.assert_allclose(first[row], alone[sequence][-3], **close)
    for step in (-2, -1):  # decoding three texts at once
        rows = session.advance({sequence: [ids[step]] for sequence, ids in texts.items()})
        for row, sequence in enumerate(texts):
            np.testing.assert_allclose(rows[row], alone[sequence][step], **close)
    assert session.positions == [20, 27, 13]
    session.reset(sequence=1)
    np.testing.assert_allclose(session.prefill(IDS[:20], sequence=1), alone[0][-1], **close)


def test_the_context_is_a_limit(make: Callable[[str], Engine]) -> None:
    session = Session(make("llama"))
    session.prefill([1] * 90)
    with pytest.raises(UsageError, match="90 tokens and 7 more do not fit the context of 96"):
        session.prefill([1] * 7)
    session.prefill([1] * 6)
    with pytest.raises(UsageError, match="96 tokens and 1 more"):
        session.step(1)
    assert session.position == 96


def test_wrong_calls_are_refused(make: Callable[[str], Engine]) -> None:
    session = make("llama").session()
    with pytest.raises(UsageError, match="at least one token"):
        session.prefill([])
    with pytest.raises(UsageError, match="at least one token"):
        session.advance({0: []})
    with pytest.raises(UsageError, match="a sequence from 0 to 0, got 1"):
        session.step(1, sequence=1)
    for id in (-1, 160):
        with pytest.raises(UsageError, match=str(id)):
            session.step(id)
    assert session.position == 0


def test_rewinding_past_a_window_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "BATCH", 7)
    metadata = synthetic_model.metadata_of("gemma3", context_length=300)
    path = synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata))
    engine, ids = load(path), np.tile(IDS, 4).tolist()
    expected = engine.session().logits(ids)
    session = engine.session(sequences=2)
    session.prefill(IDS, sequence=1)
    for keep in (233, 100, 3, 0):  # the first within the ring of 64 positions, the others past it
        session.reset()
        session.prefill(ids)
        assert (keep < session.memory.earliest[0]) == (keep < 200)
        session.reset(keep)
        assert session.positions == [keep, 60]
        np.testing.assert_allclose(session.logits(ids[keep:]), expected[keep:], **close)


@pytest.mark.parametrize("kv", KV)
def test_a_smaller_cache_costs_only_the_rounding_of_keys_and_values(make: Callable[[str], Engine], kv: str) -> None:
    """Compared with the oracle by root mean squares: a few values close to a midpoint round the other way."""
    engine = make("llama")
    weights = {name: w.dequantize() for name, w in engine.model.tensors.items()}
    n = np.arange(60)
    exact, rounded = (Oracle(engine.model.step, weights, kv=cache).run(IDS, n, 0 * n, n) for cache in (None, kv))
    got = engine.replace(kv=kv.upper()).session().logits(IDS)
    assert np.linalg.norm(got - rounded) < 0.1 * np.linalg.norm(rounded - exact)


def test_an_unknown_cache_is_refused(make: Callable[[str], Engine]) -> None:
    with pytest.raises(UsageError, match="unknown key-value cache 'q3_k'"):
        make("llama").replace(kv="q3_k")


@pytest.mark.parametrize("kv", KV)
@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_a_memory_can_be_copied_from_another_session(
    tmp_path: Path, architecture: str, kv: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that read other tokens continues exactly like the one whose memory it copies: with the whole memory,
    past the ring of a window, and with only the last tokens."""
    monkeypatch.setattr(session_module, "BATCH", 7)
    metadata = synthetic_model.metadata_of(architecture, context_length=300)
    weights = synthetic_model.weights_of(metadata)
    engine = load(synthetic_model.write(tmp_path / "m.gguf", metadata, weights), kv=kv)
    ids = np.tile(IDS, 3).tolist()
    source, taker = engine.session(2), engine.session(2)
    source.extend(IDS[:20], [], 1), taker.extend(IDS[:20], [], 1)
    source.extend(ids, [])
    taker.extend(ids[::-1], [])
    taker.adopt(source)
    assert taker.ids == source.ids
    for id in IDS[:4]:
        np.testing.assert_array_equal(taker.step(id), source.step(id))
    changed = taker.step(5), source.step(6)
    assert not np.array_equal(*changed)
    assert not np.array_equal(taker.step(7), source.step(7))
    with pytest.raises(UsageError, match="same 185 tokens"):
        taker.adopt(source, keep=185)
    taker.adopt(source, keep=184)
    np.testing.assert_array_equal(taker.step(8), source.step(8))
    np.testing.assert_array_equal(taker.step(9, 1), source.step(9, 1))


def test_a_different_memory_is_refused(make: Callable[[str], Engine]) -> None:
    engine = make("llama")
    for other in (make("gemma3"), engine.replace(kv="q8_0"), engine.replace(context=64)):
        session = other.session()
        session.prefill([1, 2])
        with pytest.raises(UsageError, match="same layers, heads, format and context"):
            engine.session().adopt(session)
    with pytest.raises(UsageError, match="another program"):
        session.adopt(session)


RESIDENT = """
import os, sys, bitwright as bw
engine = bw.load(sys.argv[1])
session = engine.session()
session.prefill(engine.tokenizer.encode("word " * 600)[:512])
with open("/proc/self/statm") as file:
    resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
memory = session.footprint
print(memory["packed"], resident, os.path.getsize(sys.argv[1]) + memory["cache"])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says here what is resident")
def test_weights_are_held_once(smollm2: Path) -> None:
    """After 512 tokens at most 100 MB are resident beyond the file and the cache, including Python."""
    env = os.environ | {"PYTHONPATH": str(Path(bw.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", RESIDENT, smollm2], env=env, capture_output=True, text=True)
    packed, resident, needed = map(int, done.stdout.split())
    assert packed < resident < needed + 100_000_000, done.stderr


@pytest.mark.filterwarnings("error")  # pytest warns of exceptions in threads
def test_what_fails_while_a_session_is_opened_is_raised_where_it_is_used() -> None:
    from types import SimpleNamespace

    from bitwright.engine.conversation import Opening

    def fail() -> None:
        raise UsageError("no room")

    assert Opening(SimpleNamespace(session=lambda: "session")).session() == "session"  # type: ignore[arg-type, comparison-overlap]
    opening = Opening(SimpleNamespace(session=fail))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(UsageError, match="no room"):
            opening.session()
