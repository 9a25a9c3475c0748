"""Building a tokenizer from metadata: merges from scores, special tokens, and metadata that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabularies import NORMAL, byte_level_metadata, spm_metadata

from bitwright.errors import BitwrightError, UnsupportedError
from bitwright.io import gguf
from bitwright.model import tokenizer_part
from bitwright.model.tokenizer import Tokenizer
from bitwright.model.tokenizer_build import merges_from_scores, space_pattern


def test_merges_are_all_splits_by_descending_score() -> None:
    tokens, scores = ["a", "b", "c", "ab", "bc", "abc", "zz", "<s>"], [-9, -9, -9, -2, -1, -3, -1, 0]
    mergeable = np.array([True] * 7 + [False])
    assert merges_from_scores(tokens, np.array(scores, np.float32), mergeable) == [
        ("b", "c"),
        ("a", "b"),
        ("ab", "c"),
        ("a", "bc"),
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab▁é🦙", min_size=1, max_size=6), unique=True, max_size=40), st.randoms())
def test_merges_equal_a_plain_search(tokens: list[str], random: Any) -> None:
    scores = [random.randrange(-5, 0) for _ in tokens]
    found = merges_from_scores(tokens, np.array(scores, np.float32), np.full(len(tokens), True))
    known = dict(zip(tokens, scores, strict=True))
    plain = [(t[:k], t[k:]) for t in tokens for k in range(1, len(t)) if t[:k] in known and t[k:] in known]
    assert sorted(found) == sorted(plain)
    ranks = [(-known[left + right], -len(left + right)) for left, right in found]
    assert ranks == sorted(ranks)


def test_ties_merge_from_the_left_like_sentencepiece() -> None:
    """All runs of spaces have the same score in Llama 2's vocabulary."""
    runs = [("▁" * n, -1e9 if n > 1 else -1.0, NORMAL) for n in range(1, 17)]
    tokenizer = Tokenizer.from_metadata(spm_metadata(runs, add_space_prefix=False))
    assert [len(tokenizer.token_text(id)) for id in tokenizer.encode(" " * 37, False)] == [16, 16, 5]


def test_text_is_split_where_no_merge_can_reach() -> None:
    assert space_pattern(["▁", "▁▁", "▁a", "b"]) == "▁*[^▁]+|▁+"
    tokens = [(c, -9.0, NORMAL) for c in ">▁<a"] + [(">▁", -1.0, NORMAL), (">▁<", -2.0, NORMAL), ("▁a", -1.5, NORMAL)]
    tokenizer = Tokenizer.from_metadata(spm_metadata(tokens, add_space_prefix=False))
    assert [tokenizer.token_text(id) for id in tokenizer.encode("a> <a a> a", False)] == [
        *("a", ">▁<", "a", "▁a", ">▁", "a")
    ]


def test_special_tokens_are_found_by_key_or_text() -> None:
    texts = ["<|endoftext|>", "<|im_end|>", "<|fim_pad|>", "<|fim_prefix|>", "<|eom_id|>", "</s>"]
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(texts, [], eos_token_id=256, bos_token_id=97))
    assert (tokenizer.bos, tokenizer.eos, tokenizer.eot, tokenizer.eom) == (97, 256, 257, 260)
    assert tokenizer.end_of_generation == {256, 257, 258, 260, 261}
    assert tokenizer.vocab_size == 262 and tokenizer.unknown is None and tokenizer.padding is None
    assert tokenizer.is_special(259)  # recognized by its text, whatever its type in the file
    assert not (tokenizer.add_bos or tokenizer.add_eos)


def test_end_does_not_stop_a_harmony_reply() -> None:
    texts = ["<|return|>", "<|call|>", "<|end|>", "<|channel|>"]
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(texts, []))
    assert tokenizer.end_of_generation == {256, 257}
    assert tokenizer.decode([258, 259], skip_special=True) == "<|end|><|channel|>"


def test_bos_and_eos_are_added_if_the_file_asks_for_them() -> None:
    wanted = {"add_bos_token": True, "add_eos_token": True, "bos_token_id": 256, "eos_token_id": 257}
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(["<s>", "</s>"], [], **wanted))
    assert tokenizer.encode("") == [256, 257]
    assert tokenizer.encode("", add_special_tokens=False) == []
    llama3 = byte_level_metadata(["<s>", "</s>"], [], pre="llama-bpe", bos_token_id=256)
    assert Tokenizer.from_metadata(llama3).encode("") == [256]


def test_ignore_merges_takes_a_whole_word() -> None:
    metadata = byte_level_metadata(["abc"], [], pre="llama-bpe", add_bos_token=False)
    assert Tokenizer.from_metadata(metadata).encode("abc") == [256]
    metadata["tokenizer.ggml.pre"] = "qwen2"
    assert len(Tokenizer.from_metadata(metadata).encode("abc")) == 3


def test_an_id_outside_of_the_vocabulary_is_the_familys_default() -> None:
    """As llama.cpp has it: 1 and 2 in SentencePiece vocabularies, 11 in byte-level ones."""
    beyond = {"bos_token_id": 9999, "eos_token_id": 9999, "add_bos_token": True, "add_eos_token": True}
    spm = Tokenizer.from_metadata(spm_metadata([("a", -1.0, NORMAL)], **beyond, unknown_token_id=9999))
    assert (spm.bos, spm.eos, spm.unknown) == (1, 2, 0)
    assert Tokenizer.from_metadata(byte_level_metadata(["ab"], ["a b"], **beyond)).encode("ab") == [11, 256, 11]


def test_odd_tokens_do_no_harm() -> None:
    """Tokens may be empty, repeated, or not UTF-8 (which the reader gives as lone surrogates)."""
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(["", "", "\udcff\udcfe", "a"], []))
    assert tokenizer.decode(tokenizer.encode("xyz a")) == "xyz a"
    assert tokenizer.token_bytes(258) == b"\xff\xfe" and tokenizer.token_bytes(256) == b""


def test_unsupported_kinds_are_refused_by_name(data: Path) -> None:
    bert = gguf.open(data / "tokenizers/ggml-vocab-bert-bge.gguf")
    with pytest.raises(UnsupportedError, match="'bert' is not supported; supported: gpt2 .*llama"):
        Tokenizer.from_gguf(bert)
    with pytest.raises(UnsupportedError, match="pre-tokenizer 'kimi-k2' is not supported; supported: .*qwen2"):
        Tokenizer.from_metadata(byte_level_metadata([], [], pre="kimi-k2"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer.ggml.model": None}, "no tokenizer"),
        ({"tokenizer.ggml.tokens": None}, "tokens to be an array of strings, got no such key"),
        ({"tokenizer.ggml.tokens": []}, "tokens to be an array of one string or more, got array of no elements"),
        ({"tokenizer.ggml.tokens": np.arange(5)}, "tokens to be an array of strings, got array of 5 int64: 0, 1, 2"),
        ({"tokenizer.ggml.merges": None}, "merges to be an array of strings, got no such key"),
        (
            {"tokenizer.ggml.token_type": np.ones(5, np.int32)},
            "an array of 256 whole numbers, got array of 5 int32",
        ),
        ({"tokenizer.huggingface.json": "{"}, "huggingface.json is broken"),
        ({"tokenizer.huggingface.json": "[]"}, "huggingface.json is broken"),
    ],
)
def test_broken_metadata_is_one_line(change: dict[str, Any], message: str) -> None:
    metadata = byte_level_metadata([], []) | change
    with pytest.raises(BitwrightError, match=message) as caught:
        Tokenizer.from_metadata({key: value for key, value in metadata.items() if value is not None})
    assert "\n" not in str(caught.value)


def test_merges_that_give_no_token_are_refused_once_all_are_needed() -> None:
    tokenizer = Tokenizer.from_metadata(byte_level_metadata([], ["a b"]))
    assert len(tokenizer.encode("ab")) == 2
    with pytest.raises(BitwrightError, match="^the file's tokenizer is broken: [^\n]*$"):
        tokenizer.encode("ab" * tokenizer_part.LONGEST)
