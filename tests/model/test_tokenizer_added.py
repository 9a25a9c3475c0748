"""Control and user-defined tokens that overlap in a text are found as llama.cpp finds them."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_model
import vocabularies
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tokenizer_peer import serve
from vocabularies import CONTROL, NORMAL, USER_DEFINED

from bitwright.errors import BitwrightError
from bitwright.io import gguf
from bitwright.model.tokenizer import Tokenizer
from bitwright.model.tokenizer_added import AddedTokens

ADDED = [("<|c|>", CONTROL), ("|>a", USER_DEFINED), ("ab", USER_DEFINED), ("bcde", CONTROL), ("bc", USER_DEFINED)]
ADDED += [("\n" * n, USER_DEFINED) for n in (2, 3, 5)] + [("é<<", CONTROL), ("<<|", USER_DEFINED)]
TEXTS = ["<|c|>a", "x<|c|>ab"]
TEXTS += ["abcde", "abcd", "bcabcde", "\n" * 9, "a\n\n\n\nb", "é<<<|c|>", "é<<<|", "<<|c|>ab", "", "|>ab"]


def metadata(kind: str) -> dict[str, Any]:
    if kind == "llama":
        return vocabularies.spm_metadata([(c, -9.0, NORMAL) for c in "▁abc<|>x"] + [(t, 0.0, k) for t, k in ADDED])
    types = np.array([NORMAL] * 256 + [k for _, k in ADDED] + [NORMAL], np.int32)
    return vocabularies.byte_level_metadata([*(text for text, _ in ADDED), "|>"], ["| >", "a b"], token_type=types)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_ids_equal_those_of_llama_cpp(kind: str, tmp_path: Path) -> None:
    shape = synthetic_model.metadata_of("llama", block_count=1)
    vocabulary = metadata(kind)
    weights = synthetic_model.weights_of(shape)
    weights["token_embd.weight"] = np.zeros((len(vocabulary["tokenizer.ggml.tokens"]), 64), np.float32)
    path = synthetic_model.write(tmp_path / "m.gguf", shape | vocabulary, weights)
    server, post = serve(path)
    tokenizer = Tokenizer.from_gguf(gguf.open(path))
    drawn, parts = random.Random(0), ["<", "|", "c", ">", "a", "b", "de", "\n", "é", "x"]
    for text in TEXTS + ["".join(drawn.choices(parts, k=12)) for _ in range(60)]:
        for parse in (False, True):
            expected = post("/tokenize", content=text, add_special=False, parse_special=parse)["tokens"]
            assert tokenizer.encode(text, False, parse_special=parse) == expected, (parse, text)
    del server


@pytest.mark.parametrize("special", [False, True])
def test_longer_tokens_are_found_first(special: bool) -> None:
    texts, kinds = [text for text, _ in ADDED], np.array([kind for _, kind in ADDED], np.int32)
    added = AddedTokens(texts, kinds)
    assert list(added.split("<|c|>a", special)) == ([0, "a"] if special else ["<|c", 1])
    assert list(added.split("abcde", special)) == (["a", 3] if special else [2, "cde"])
    assert list(added.split("\n" * 9, special)) == [7, 6, "\n"]
    assert list(added.split("", special)) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab\n]^-é", min_size=1, max_size=4), max_size=6, unique=True), st.text("ab\n]^-é", max_size=20))
def test_pieces_equal_those_of_a_plain_search(tokens: list[str], text: str) -> None:
    pieces: list[str | int] = [text] if text else []
    for id in sorted(range(len(tokens)), key=lambda id: -len(tokens[id].encode())):
        cut: list[str | int] = []
        for piece in pieces:
            parts = [piece] if isinstance(piece, int) else piece.split(tokens[id])
            for n, part in enumerate(parts):
                cut += [id] * (n > 0) + ([part] if part != "" else [])
        pieces = cut
    assert list(AddedTokens(tokens, np.full(len(tokens), CONTROL, np.int32)).split(text, True)) == pieces


def test_white_space_after_special_tokens_of_phi3_is_left_out() -> None:
    tokens, types = ["<|user|>", "<s>"], np.array([CONTROL, CONTROL], np.int32)
    pieces = AddedTokens(tokens, types, strip=True).split("<|user|>\n\t hi <s>\n<|user|>\n", special=True)
    assert [*pieces] == [0, "hi ", 1, "\n", 0]
    assert [*AddedTokens(tokens, types).split("<|user|>\n", special=True)] == [0, "\n"]


def test_an_overlong_special_token_is_refused() -> None:
    with pytest.raises(BitwrightError, match="special token 0 has 5,000 characters; at most 512"):
        AddedTokens(["x" * 5000], np.array([CONTROL], np.int32))


def test_tokens_that_share_long_beginnings_cost_little() -> None:
    """Each of 500 is as near to the text as a token can be that is not in it."""
    tokens = [*("a" * n + "!" for n in range(1, 500)), "b" * 400]
    started = time.thread_time()
    assert list(AddedTokens(tokens, np.full(500, CONTROL, np.int32)).split("a" * 5000, True)) == ["a" * 5000]
    assert time.thread_time() - started < 5  # it was 20
