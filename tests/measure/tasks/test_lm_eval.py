"""bitwright as a model of lm-evaluation-harness: likelihoods are bitwright's, and texts end where they should."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install bitwright[lm-eval]")

from bitwright.errors import UsageError
from bitwright.measure.tasks import choice, items
from bitwright.measure.tasks.lm_eval import BitwrightLM

ROWS = [
    {"query": "Once upon a time, there was a little", "choices": ["girl named Lily.", "dog", "the"], "gold": 0},
    {"query": "Tom and Sue went to the park to", "choices": ["play.", "be sad and cry"], "gold": 0},
]
STORY = "Once upon a time, there was a little girl"


@pytest.fixture(scope="module")
def lm(stories260k: Path) -> BitwrightLM:
    return BitwrightLM(stories260k)


def asking(*arguments: object) -> SimpleNamespace:
    return SimpleNamespace(args=arguments)


def test_likelihoods_are_those_of_multiple_choice(lm: BitwrightLM, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(map(json.dumps, ROWS)))
    ours = [score for judged in choice.judge(lm.engine, items.load(file)) for score in judged.log_likelihoods]
    pairs = [items.joined(row["query"], own) for row in ROWS for own in row["choices"]]
    theirs = lm.loglikelihood([asking(*pair) for pair in pairs], disable_tqdm=True)
    np.testing.assert_allclose([score for score, _ in theirs], ours, atol=1e-4)
    greedy = lm.generate_until([asking(STORY[:-5], {"max_gen_toks": 4})])[0]
    assert lm.loglikelihood([asking(STORY[:-5], greedy), asking(STORY[:-5], " zoo")], disable_tqdm=True)[0][1]


def test_a_text_without_context_and_one_longer_than_the_context(lm: BitwrightLM, stories260k: Path) -> None:
    """Each token is predicted once: with the whole context if one window suffices, otherwise with less."""
    (whole,) = lm.loglikelihood_rolling([asking(STORY)])
    ((alone, _),) = lm.loglikelihood([asking("", STORY)], disable_tqdm=True)
    assert whole == pytest.approx(alone, abs=1e-4) and whole < 0
    short, ids = BitwrightLM(stories260k, context=8), lm.tok_encode(STORY, add_special_tokens=False)
    (parts,) = short.loglikelihood_rolling([asking(STORY)])
    rows = lm.engine.session().logits([lm.prefix_token_id, *ids[:7]]).astype(float)
    first = sum(row[id] - np.log(np.exp(row).sum()) for row, id in zip(rows, ids[:8], strict=True))
    assert len(ids) > 8 and parts < first < 0 and lm.loglikelihood_rolling([asking("")]) == [0]


def test_stop_strings_end_the_text(lm: BitwrightLM) -> None:
    (free,) = lm.generate_until([asking(STORY, {"max_gen_toks": 40})])
    word = free.split()[4]
    assert len(free) > 60 and word in free
    asked = [{"until": [word, "\n\n"], "max_gen_toks": 40}, {"until": ".", "max_gen_toks": 40}, {"max_gen_toks": 3}]
    first, sentence, short = lm.generate_until([asking(STORY, ways) for ways in asked])
    assert first == free[: free.index(word)] and sentence == free[: free.index(".")]
    assert free.startswith(short) and 0 < len(short) < len(first) + len(word)


def test_sampling_is_seeded_and_unknown_options_are_refused(lm: BitwrightLM) -> None:
    ways = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 12}
    once, again = (lm.generate_until([asking(STORY, ways), asking(STORY, ways)]) for _ in range(2))
    assert once == again and once[0] != once[1]
    with pytest.raises(UsageError, match="top_p"):
        lm.generate_until([asking(STORY, {**ways, "top_p": 0.9})])
    with pytest.raises(UsageError, match="no chat template"):
        lm.chat_template(True)
