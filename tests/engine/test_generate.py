"""Generation stops where it should, and text comes out whole however tokens and stop strings fall."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitwright.engine import Engine, Sampler, generate, load, text_of
from bitwright.errors import UsageError

STORY = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."


@pytest.fixture(scope="module")
def engine(stories260k: Path) -> Engine:
    return load(stories260k)


def test_greedy_is_the_default_and_a_seed_repeats(engine: Engine) -> None:
    tokens = list(generate(engine.session(), [1], max_tokens=40))
    assert ("".join(text_of(tokens, engine.tokenizer)).strip() + " ").startswith(STORY[:60])
    drawn = [list(generate(engine.session(), [1], Sampler(seed=seed), 40)) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_it_stops_at_the_limit_the_end_token_and_the_context(engine: Engine, stories260k: Path) -> None:
    session = engine.session()
    tokens = list(generate(session, [1], max_tokens=12))
    assert len(tokens) == 12 and session.position == 12  # the last token was not read back
    assert list(generate(engine.session(), [1], max_tokens=0)) == []
    stopped = list(generate(engine.session(), [1], max_tokens=12, stop=[tokens[5]]))
    assert stopped == tokens[: tokens.index(tokens[5])]
    short = load(stories260k, context=10).session()
    assert list(generate(short, [1, *tokens[:3]])) == tokens[3:10] and short.position == 10
    with pytest.raises(UsageError, match="max_tokens"):
        list(generate(session, [1], max_tokens=-1))


def test_a_conversation_continues(engine: Engine) -> None:
    tokens = list(generate(engine.session(), [1], max_tokens=20))
    session = engine.session()
    first = list(generate(session, [1], max_tokens=8))
    assert first + list(generate(session, first[session.position - 1 :], max_tokens=12)) == tokens


def test_stop_strings(engine: Engine) -> None:
    tokens = engine.tokenizer.encode(STORY, add_special_tokens=False)

    def text(*stop: str) -> str:
        return "".join(text_of(tokens, engine.tokenizer, stop)).strip()

    assert text() == STORY
    assert text("little girl") == "Once upon a time, there was a"
    assert text("never there", "Lily.") == "Once upon a time, there was a little girl named"
    assert text("park.", "play") == STORY[: STORY.index("play")].strip()
    assert text("park!") == STORY  # held back to the end, then released
    with pytest.raises(UsageError, match="empty"):
        text("")


def test_pieces_are_returned_as_soon_as_possible(engine: Engine) -> None:
    tokens = engine.tokenizer.encode(STORY, add_special_tokens=False)
    pieces = list(text_of(iter(tokens), engine.tokenizer, ["time?"]))
    assert "".join(pieces).strip() == STORY and len(pieces) > 30
    assert not any(piece.endswith("tim") for piece in pieces)
