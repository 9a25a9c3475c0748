"""Sessions of one engine share packed weights; tensors are swapped, sequences forked, saved and restored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic_model

import bitwright as bw
from bitwright.engine import Engine, Session, load
from bitwright.errors import BitwrightError, UsageError
from bitwright.formats import QuantizedTensor, get
from bitwright.io import gguf
from bitwright.kernels import WeightBank

IDS = np.random.default_rng(3).integers(0, synthetic_model.VOCABULARY, 60).tolist()


def test_two_sessions_share_the_weights_and_have_two_caches(smollm2: Path) -> None:
    engine = load(smollm2, context=512)
    first = engine.session()
    bank, one = first.program.bank, first.footprint
    second = engine.session()
    assert second.program is first.program and second.footprint == one | {"packed": bank.bytes}
    assert bank.bytes == one["packed"] > 0.9 * engine.model.bytes_per_token
    assert second.memory.bytes == first.memory.bytes and second.memory is not first.memory
    np.testing.assert_array_equal(first.prefill(IDS), second.prefill(IDS))
    assert first.footprint["packed"] == one["packed"]  # of both together
    del first, second
    assert len(bank) == 0 and bank.bytes == 0  # nothing holds the program any more


def test_a_swapped_tensor_gives_the_logits_of_the_file_that_has_it(stories260k: Path, tmp_path: Path) -> None:
    """A file with one tensor in another format is compared with a running program that receives this tensor."""
    name = "blk.2.ffn_up.weight"
    bw.quantize(stories260k, "q8_0", tmp_path / "base.gguf")
    changed = load(tmp_path / "base.gguf")
    own = changed.model.tensors[name]
    f = get("q4_0")
    tensor = QuantizedTensor(name, own.shape, f, f.quantize(own.dequantize()))
    stored = [tensor if t == name else changed.model.tensors[t] for t in changed.model.tensors]
    base = gguf.open(tmp_path / "base.gguf")
    gguf.write(
        tmp_path / "other.gguf",
        base.metadata.typed(),
        [(t.name, t.shape, t.format, lambda t=t: t.data) for t in stored],
    )
    session, other = changed.session(), load(tmp_path / "other.gguf").session()
    before = session.prefill(IDS[:20])
    count = len(session.program.bank)
    session.reset()
    session.replace({name: tensor})
    np.testing.assert_array_equal(session.logits(IDS[:20]), other.logits(IDS[:20]))
    assert len(session.program.bank) == count  # the replaced one is gone
    session.reset()
    session.replace({name: own})
    np.testing.assert_array_equal(session.prefill(IDS[:20]), before)
    with pytest.raises(BitwrightError, match=r"blk\.2\.ffn_up"):
        session.replace({name: changed.model.tensors["blk.2.ffn_down.weight"]})


def test_a_matrix_is_packed_once(smollm2: Path) -> None:
    engine, bank = load(smollm2, context=64), WeightBank()
    weights = [engine.model.tensors[n] for n in ("blk.0.attn_q.weight", "blk.0.attn_k.weight")]
    first = bank.matrices(weights, [True, True])
    assert bank.matrices(weights[::-1], [True, True]) == first[::-1] and len(bank) == 2


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_advance_returns_logits_at_any_positions(make: Callable[[str], Engine], architecture: str) -> None:
    engine = make(architecture)
    alone = [engine.session().logits(ids) for ids in (IDS[:9], IDS[20:25], IDS[40:43])]
    session = engine.session(sequences=3)
    got = session.advance({2: IDS[:9], 0: IDS[20:25], 1: IDS[40:43]}, {2: [8, 0, 3], 1: [1], 0: []})
    expected = [alone[0][8], alone[0][0], alone[0][3], alone[2][1]]
    np.testing.assert_array_equal(got, expected)
    assert session.positions == [5, 3, 9]
    for wrong in ([9], [-1], [0, 12]):
        with pytest.raises(UsageError, match="outputs of sequence 2 must lie in 0 to 3"):
            session.advance({2: IDS[:4]}, {2: wrong})
    assert session.positions == [5, 3, 9]


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_a_sequence_is_forked_saved_and_restored(make: Callable[[str], Engine], architecture: str) -> None:
    engine = make(architecture)
    session = engine.session(sequences=2)
    session.prefill(IDS[:40])
    session.fork(0, 1)
    assert session.ids[1] == IDS[:40]
    expected = session.step(7)
    np.testing.assert_array_equal(session.step(7, 1), expected)
    session.reset(40)
    saved = session.save()
    other = engine.session()
    other.restore(IDS[:40], saved)
    np.testing.assert_array_equal(other.step(7), expected)
    fresh: Session = engine.session()
    with pytest.raises(UsageError, match="expected the 40 token ids of the saved sequence, got 39"):
        fresh.restore(IDS[:39], saved)
    assert fresh.position == 0 and fresh.memory.lengths == [0]
