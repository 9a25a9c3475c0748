"""Cutting a text into chunks and documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import load
from bitwright.errors import UsageError
from bitwright.measure.windows import DOCUMENT, cut, cut_ids, spread


@pytest.fixture(scope="module")
def tokenizer(stories260k: Path):
    return load(stories260k).tokenizer


ARTICLES = " \n = One = \n \n Once upon a time . \n = = Part = = \n \n More . \n = Two = Three = \n \n The end . \n"


def test_articles_begin_at_titles_and_stories_after_a_separator() -> None:
    assert [m.group() for m in DOCUMENT.finditer(ARTICLES.encode())] == [b" = One = ", b" = Two = Three = "]
    assert [m.start() for m in DOCUMENT.finditer(b"a<|endoftext|>b")] == [14]
    assert not DOCUMENT.search(b" = = Part = = \nx = 3 = y\n =  = \n")


def test_wikitext_has_sixty_articles(data) -> None:
    text = (data / "text/wikitext-2/valid.txt").read_bytes()
    assert len(DOCUMENT.findall(text)) == 60


def test_every_scored_token_knows_its_document_and_size(tokenizer) -> None:
    text = "".join(f"\n = Title {n} = \n" + f"Story {n} is a story about a cat. " * 9 for n in range(6))
    windows = cut(tokenizer, text, 32)
    ids = np.array(tokenizer.encode(text), np.int32)
    assert windows.sizes.shape == windows.targets.shape == (len(ids) // 32, 15)
    assert (windows.ids[:, 0] == tokenizer.bos).all()
    pieces = [b"", *(tokenizer.token_bytes(i) for i in ids[1:])]
    for place, documents, sizes in zip(windows.places, windows.documents, windows.sizes, strict=True):
        for token, at in enumerate(range(place * 32 + 17, place * 32 + 32)):
            before = b"".join(pieces[:at])
            # Titles that begin at or before the token; the text before it may end inside the last of them.
            assert documents[token] == sum(m.start() <= len(before) for m in DOCUMENT.finditer(b"".join(pieces)))
            assert sizes[token] == len(pieces[at])


def test_the_first_chunks_or_chunks_spread_out(tokenizer) -> None:
    text = "Once upon a time there was a cat. " * 100
    everything = cut(tokenizer, text, 32)
    assert cut(tokenizer, text, 32, 3).places.tolist() == [0, 1, 2]
    spread_out = cut(tokenizer, text, 32, 4, spread_out=True)
    assert len(spread_out) == 4 and np.diff(spread_out.places).min() >= len(everything) // 4 - 1
    np.testing.assert_array_equal(spread_out.ids, everything.ids[spread_out.places])
    assert everything.some(4).sha256 == spread_out.sha256 != everything.sha256
    assert spread(10, 3).tolist() == [1, 5, 8] and spread(2, 5).tolist() == [0, 1]


def test_given_ids_are_cut_the_same(tokenizer) -> None:
    text = ARTICLES * 8
    ids = np.array(tokenizer.encode(text), np.int32)
    again, once = cut_ids(tokenizer, ids, 16), cut(tokenizer, text, 16)
    assert again.sha256 == once.sha256
    np.testing.assert_array_equal(again.documents, once.documents)


def test_too_little_text_is_refused(tokenizer) -> None:
    with pytest.raises(UsageError, match="expected a text of at least one chunk of 64 tokens, got"):
        cut(tokenizer, "Once", 64)
    with pytest.raises(UsageError, match="at least 4"):
        cut(tokenizer, "Once", 3)
