"""Real models on chains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from slow import slow_but

from bitwright.engine import Engine, load
from bitwright.measure.chains.families import FAMILIES
from bitwright.measure.chains.running import run_free, teacher_force
from bitwright.measure.chains.scoring import ChainSuite, fitting_levels, score_chains
from bitwright.measure.continuation import continued


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Engine:
    return load(smollm2, context=512)


@pytest.mark.parametrize("name", slow_but(["brackets"], ["running sum", "brackets"]))
def test_the_first_wrong_step_is_that_of_running_free(engine: Engine, name: str) -> None:
    family = FAMILIES[name]
    chains = family.chains(1, 8, 4, seed=0)
    forced, free = teacher_force(engine, family.prefix(1), chains), run_free(engine, family.prefix(1), chains)
    assert [f.first_wrong for f in forced] == [f.first_wrong for f in free]
    right = np.concatenate([f.right for f in forced])
    losses = np.concatenate([f.losses for f in forced])
    assert 0.6 < right.mean() < 1 and losses[right].mean() < 0.5 < losses[~right].mean()
    for chain, own in zip(chains, free, strict=True):
        assert len(own.said) == len(own.right) == 8
        before = (own.first_wrong or 9) - 1
        assert own.said[:before] == [answer for _, answer in chain.worked(before)]


def test_other_sequences_change_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES["brackets"]
    chains = family.chains(1, 4, 3, seed=5)
    together = run_free(engine, family.prefix(1), chains)
    monkeypatch.setattr("bitwright.measure.together.TOGETHER", 2)
    assert run_free(engine, family.prefix(1), chains) == together


def test_a_level_is_found_and_scored(engine: Engine) -> None:
    found = fitting_levels(engine, ["pointers"], steps=6)
    assert found["pointers"] in (1, 2)
    scores = score_chains(engine, ChainSuite(found, steps=3, count=2), free=True)
    assert len(scores) == 1 and len(scores[0].single) == 2 and len(scores[0].forced) == len(scores[0].free or ()) == 2
    assert all(len(f.right) == 1 for f in scores[0].single)


def test_continued_text_is_cut_as_in_one_piece(stories260k: Path, engine: Engine, gemma3: Path) -> None:
    """SentencePiece puts a space before a text; none may appear between two pieces of a text."""
    for tokenizer in (load(stories260k).tokenizer, engine.tokenizer, load(gemma3, context=8).tokenizer):
        ids = tokenizer.encode("Once 1 to 2", add_special_tokens=False)
        for piece in ("\n\nTom had", " 17", "\n+ 3 ="):
            ids += continued(tokenizer, piece)
        assert tokenizer.decode(ids) == "Once 1 to 2\n\nTom had 17\n+ 3 ="
