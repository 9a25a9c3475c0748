"""Encoders of parts of a vocabulary give the ids of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabularies import NORMAL, byte_level_metadata, long_texts, spm_metadata

from bitwright.io import gguf
from bitwright.model import tokenizer_part
from bitwright.model.tokenizer import Tokenizer

VOCABULARIES = ("gpt-2", "falcon", "baichuan")


def parts(metadata: Any, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """A tokenizer that never builds the whole encoder unless a part will not do."""
    monkeypatch.setattr(tokenizer_part, "MOST", 1 << 30)
    return Tokenizer.from_metadata(metadata)


def whole(metadata: Any) -> Tokenizer:
    """A tokenizer that has built the whole encoder."""
    tokenizer = Tokenizer.from_metadata(metadata)
    tokenizer.encode(" " * tokenizer_part.LONGEST)
    return tokenizer


@pytest.mark.parametrize("name", VOCABULARIES)
def test_pieces_of_texts_get_the_ids_of_the_whole(data: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = gguf.open(data / f"tokenizers/ggml-vocab-{name}.gguf").metadata
    own, other = parts(metadata, monkeypatch), whole(metadata)
    for text in long_texts(data):
        for start in range(0, 20_000, 2000):
            piece = text[start : start + 20 + start // 50]
            assert own.encode(piece) == other.encode(piece), piece
    assert own._encoder._whole is None  # type: ignore[union-attr]


TEXT = st.text("ab▁ é\n", max_size=12)
TOKENS = st.lists(st.text("abé ", min_size=2, max_size=4), unique=True, max_size=30)


@settings(max_examples=100, deadline=None)
@given(TOKENS, st.lists(TEXT, min_size=1, max_size=3), st.randoms())
def test_small_vocabularies_of_scores_agree(tokens: list[str], texts: list[str], random: Any) -> None:
    """Without `a` in the vocabulary, its byte stands for it; without bytes, an ordinary token does."""
    rows = [(token.replace(" ", "▁"), float(random.randrange(-5, 0)), NORMAL) for token in [*tokens, *"bé "]]
    metadata = spm_metadata(rows)
    if random.random() < 0.3:
        kept = slice(259, None)
        metadata |= {f"tokenizer.ggml.{k}": metadata[f"tokenizer.ggml.{k}"][kept] for k in ("tokens", "scores")}
        metadata["tokenizer.ggml.token_type"] = np.full(len(rows), NORMAL, np.int32)
        metadata["tokenizer.ggml.unknown_token_id"] = 1 << 30
    with pytest.MonkeyPatch.context() as patch:
        own, other = parts(metadata, patch), whole(metadata)
        for text in texts:
            assert own.encode(text) == other.encode(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3), st.randoms(), st.booleans())
def test_small_vocabularies_of_merges_agree(texts: list[str], random: Any, gap: bool) -> None:
    """With a gap, a byte has no token, and its neighbours may merge."""
    tokens, merges = ["a", "b", "Ġ"], []
    for _ in range(20):
        left, right = random.choice(tokens), random.choice(tokens)
        if left + right not in tokens:
            merges.append(f"{left} {right}")
            tokens.append(left + right)
    metadata = byte_level_metadata(tokens[3:], merges)
    if gap:
        metadata["tokenizer.ggml.tokens"] = tokens
    with pytest.MonkeyPatch.context() as patch:
        own, other = parts(metadata, patch), whole(metadata)
        for text in texts:
            assert own.encode(text) == other.encode(text)


def test_a_vocabulary_of_long_tokens_costs_no_more() -> None:
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(["ab", "x" * tokenizer_part.MOST_PIECES], ["a b"]))
    assert tokenizer.encode("cab")[1:] == [256]
    assert tokenizer._encoder._whole is not None  # type: ignore[union-attr]


def test_many_short_texts_are_worth_the_whole() -> None:
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(["ab"], ["a b"]))
    encoder = tokenizer._encoder
    assert isinstance(encoder, tokenizer_part.Encoder)
    for _ in range(tokenizer_part.MOST):
        assert tokenizer.encode("cab")[1:] == [256] and encoder._whole is None
    assert tokenizer.encode("cab")[1:] == [256] and encoder._whole is not None
