"""Tokenizers rebuilt from GGUF metadata, against ids that other implementations gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.io import gguf
from bitwright.model.tokenizer import Tokenizer, byte_characters
from bitwright.model.tokenizer_build import merges_from_scores, space_pattern

VOCABULARIES = ("gpt-2", "deepseek-coder", "falcon", "llama-spm")
CASES = "\n__ggml_vocab_test__\n"
CONTROL, NORMAL, UNKNOWN, BYTE, USER_DEFINED = 3, 1, 2, 6, 4

_opened: dict[str, Tokenizer] = {}


def vocabulary(shared_data: Path, name: str) -> Tokenizer:
    if name not in _opened:
        _opened[name] = Tokenizer.from_gguf(gguf.open(shared_data / f"tokenizers/ggml-vocab-{name}.gguf"))
    return _opened[name]


def byte_level_metadata(tokens: list[str], merges: list[str], **extra: Any) -> dict[str, Any]:
    tokens = [*byte_characters(), *tokens]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges,
        **{f"tokenizer.ggml.{key}": value for key, value in extra.items()},
    }


def spm_metadata(tokens: list[tuple[str, float, int]], **extra: Any) -> dict[str, Any]:
    base = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    rows = base + [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)] + tokens
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [row[0] for row in rows],
        "tokenizer.ggml.scores": np.array([row[1] for row in rows], np.float32),
        "tokenizer.ggml.token_type": np.array([row[2] for row in rows], np.int32),
        **{f"tokenizer.ggml.{key}": value for key, value in extra.items()},
    }


@pytest.mark.parametrize("name", VOCABULARIES)
def test_ids_equal_llama_cpps_vectors(shared_data: Path, name: str) -> None:
    tokenizer = vocabulary(shared_data, name)
    path = shared_data / f"tokenizers/ggml-vocab-{name}.gguf"
    texts = path.with_name(path.name + ".inp").read_bytes().decode().split(CASES)
    lines = path.with_name(path.name + ".out").read_text().split("\n")  # the last case is the empty text
    assert len(texts) == len(lines) > 40
    for text, line in zip(texts, lines, strict=True):
        assert tokenizer.encode(text, add_special_tokens=False) == [int(n) for n in line.split()], repr(text)
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("carried", [False, True], ids=["rebuilt", "tokenizer.json"])
def test_a_long_text_gives_the_reference_ids(shared_data: Path, carried: bool) -> None:
    folder = shared_data / "tokenizers/rten-reftests"
    text = (folder / "monty-python-credits.txt").read_bytes().decode()
    expected = json.loads((folder / "monty-python-credits-gpt2.json").read_text())["token_ids"]
    metadata = dict(gguf.open(shared_data / "tokenizers/ggml-vocab-gpt-2.gguf").metadata)
    if carried:
        metadata["tokenizer.huggingface.json"] = (folder / "models/gpt2/tokenizer.json").read_text(encoding="utf-8")
        metadata["tokenizer.ggml.merges"] = []  # so that nothing can be rebuilt
    assert Tokenizer.from_metadata(metadata).encode(text, add_special_tokens=False) == expected


@pytest.mark.parametrize("name", VOCABULARIES)
def test_long_texts_survive_a_round_trip(shared_data: Path, name: str) -> None:
    tokenizer = vocabulary(shared_data, name)
    for path in sorted((shared_data / "calibration").glob("*.utf8")):
        text = path.read_bytes().decode()[:100_000]
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text, path.name


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_any_text_survives_a_round_trip(shared_data: Path, text: str) -> None:
    for name in ("gpt-2", "deepseek-coder", "llama-spm"):  # Falcon's has no token for some bytes
        if name == "llama-spm" and "▁" in text:
            continue  # SentencePiece cannot tell this character from a space
        tokenizer = vocabulary(shared_data, name)
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text, name


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.sampled_from(("gpt-2", "deepseek-coder", "llama-spm")))
def test_a_stream_gives_whole_characters_and_the_same_text(shared_data: Path, text: str, name: str) -> None:
    tokenizer = vocabulary(shared_data, name)
    ids = tokenizer.encode(text, add_special_tokens=False)
    stream = tokenizer.stream()
    pieces = [stream.feed(id) for id in ids]
    assert "\ufffd" in text or "\ufffd" not in "".join(pieces)
    assert "".join(pieces) + stream.finish() == tokenizer.decode(ids)


def test_an_unfinished_character_waits_for_its_bytes() -> None:
    tokenizer = Tokenizer.from_metadata(byte_level_metadata([], []))
    ids = tokenizer.encode("é🦙", add_special_tokens=False)
    stream = tokenizer.stream()
    assert [stream.feed(id) for id in ids] == ["", "é", "", "", "", "🦙"]
    assert stream.finish() == "" and tokenizer.decode(ids[:-1]) == "é\ufffd"


def test_half_a_surrogate_pair_is_a_replacement_character() -> None:
    tokenizer = Tokenizer.from_metadata(byte_level_metadata([], []))
    assert tokenizer.decode(tokenizer.encode("a\ud83eb")) == "a\ufffdb"


def test_control_tokens_are_parsed_only_when_asked(shared_data: Path) -> None:
    metadata = byte_level_metadata(
        ["<|im_end|>", "<tool>"], [], token_type=np.array([NORMAL] * 256 + [CONTROL, USER_DEFINED], np.int32)
    )
    tokenizer = Tokenizer.from_metadata(metadata)
    assert tokenizer.encode("<|im_end|>", parse_special=True) == [256]
    assert tokenizer.encode("a<|im_end|>") == [tokenizer.encode(c)[0] for c in "a<|im_end|>"]
    assert tokenizer.encode("<tool>") == [257]  # a user-defined token is never taken apart
    assert tokenizer.decode([256, 257]) == "<|im_end|><tool>"
    assert tokenizer.decode([256, 257], skip_special=True) == "<tool>"
    assert tokenizer.is_special(256) and not tokenizer.is_special(257)


def test_typing_a_control_token_never_makes_one(shared_data: Path) -> None:
    """Its text is not built up by merging either."""
    steps = [("<", -9.0, NORMAL), ("s", -9.0, NORMAL), (">", -9.0, NORMAL), ("<s", -1.0, NORMAL), ("▁", -9.0, NORMAL)]
    tokenizer = Tokenizer.from_metadata(spm_metadata(steps))
    assert [tokenizer.token_text(id) for id in tokenizer.encode("<s>", False)] == ["▁", "<s", ">"]
    assert tokenizer.encode("<s>", False, parse_special=True) == [1]


def test_spaces_of_sentencepiece_are_put_in_and_taken_out(shared_data: Path) -> None:
    tokenizer = vocabulary(shared_data, "llama-spm")
    hello = tokenizer.encode("Hello", add_special_tokens=False)
    assert tokenizer.encode("Hello") == [tokenizer.bos, *hello]
    assert tokenizer.token_text(hello[0]) == "▁Hello" and tokenizer.token_bytes(hello[0]) == b" Hello"
    assert tokenizer.decode(hello) == "Hello"
    assert tokenizer.encode("<s>Hello", False, parse_special=True) == [1, *hello]
    assert tokenizer.decode([1, *hello]) == "<s>Hello"
    assert tokenizer.stream(continuing=True).feed(hello[0]) == " Hello"
    off = dict(gguf.open(shared_data / "tokenizers/ggml-vocab-llama-spm.gguf").metadata)
    off["tokenizer.ggml.add_space_prefix"] = False
    bare = Tokenizer.from_metadata(off)
    assert bare.token_text(bare.encode("Hello", False)[0]) == "Hello"
    assert bare.decode(bare.encode(" Hello", False)) == " Hello"


def test_bytes_stand_in_for_unknown_characters(shared_data: Path) -> None:
    tokenizer = Tokenizer.from_metadata(spm_metadata([("▁", -1.0, NORMAL)]))
    ids = tokenizer.encode("\u20ac", add_special_tokens=False)
    assert [tokenizer.token_text(id) for id in ids] == ["▁", "<0xE2>", "<0x82>", "<0xAC>"]
    assert tokenizer.decode(ids) == "€"


def test_merges_are_every_cut_best_score_first() -> None:
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


def test_ties_join_from_the_left_like_sentencepiece() -> None:
    """Runs of spaces all have one score in Llama 2's vocabulary."""
    runs = [("▁" * n, -1e9 if n > 1 else -1.0, NORMAL) for n in range(1, 17)]
    tokenizer = Tokenizer.from_metadata(spm_metadata(runs, add_space_prefix=False))
    assert [len(tokenizer.token_text(id)) for id in tokenizer.encode(" " * 37, False)] == [16, 16, 5]


def test_words_are_cut_where_no_merge_can_reach() -> None:
    assert space_pattern(["▁", "▁▁", "▁a", "b"]) == "▁*[^▁]+|▁+"
    tokens = [(c, -9.0, NORMAL) for c in ">▁<a"] + [(">▁", -1.0, NORMAL), (">▁<", -2.0, NORMAL), ("▁a", -1.5, NORMAL)]
    tokenizer = Tokenizer.from_metadata(spm_metadata(tokens, add_space_prefix=False))
    assert [tokenizer.token_text(id) for id in tokenizer.encode("a> <a a> a", False)] == [
        *("a", ">▁<", "a", "▁a", ">▁", "a")
    ]


def test_special_tokens_are_found_by_key_and_by_text() -> None:
    texts = ["<|endoftext|>", "<|im_end|>", "<|fim_pad|>", "<|fim_prefix|>", "<|eom_id|>", "</s>"]
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(texts, [], eos_token_id=256, bos_token_id=97))
    assert (tokenizer.bos, tokenizer.eos, tokenizer.eot, tokenizer.eom) == (97, 256, 257, 260)
    assert tokenizer.end_of_generation == {256, 257, 258, 260, 261}
    assert tokenizer.vocab_size == 262 and tokenizer.unknown is None and tokenizer.padding is None
    assert tokenizer.is_special(259)  # known by its text, whatever type the file gives
    assert not (tokenizer.add_bos or tokenizer.add_eos)


def test_harmony_replies_go_on_after_end() -> None:
    texts = ["<|return|>", "<|call|>", "<|end|>", "<|channel|>"]
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(texts, []))
    assert tokenizer.end_of_generation == {256, 257}
    assert tokenizer.decode([258, 259], skip_special=True) == "<|end|><|channel|>"


def test_first_and_last_token_are_added_where_the_file_wants_them() -> None:
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


def test_odd_tokens_do_no_harm() -> None:
    """Empty, repeated and not UTF-8 (which the reader gives as lone surrogates)."""
    tokenizer = Tokenizer.from_metadata(byte_level_metadata(["", "", "\udcff\udcfe", "a"], []))
    assert tokenizer.decode(tokenizer.encode("xyz a")) == "xyz a"
    assert tokenizer.token_bytes(258) == b"\xff\xfe" and tokenizer.token_bytes(256) == b""


def test_unsupported_kinds_are_refused_by_name(shared_data: Path) -> None:
    bert = gguf.open(shared_data / "tokenizers/ggml-vocab-bert-bge.gguf")
    with pytest.raises(UnsupportedError, match="'bert' is not supported; supported: gpt2 .*llama"):
        Tokenizer.from_gguf(bert)
    with pytest.raises(UnsupportedError, match="pre-tokenizer 'kimi-k2' is not supported; supported: .*qwen2"):
        Tokenizer.from_metadata(byte_level_metadata([], [], pre="kimi-k2"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer.ggml.model": None}, "no tokenizer"),
        ({"tokenizer.ggml.tokens": None}, "no tokenizer.ggml.tokens"),
        ({"tokenizer.ggml.tokens": []}, "no list of texts"),
        ({"tokenizer.ggml.tokens": np.arange(5)}, "no list of texts"),
        ({"tokenizer.ggml.merges": None}, "no tokenizer.ggml.merges"),
        ({"tokenizer.ggml.merges": ["a b"]}, "broken"),
        ({"tokenizer.ggml.token_type": np.ones(5, np.int32)}, "not one number for each token"),
        ({"tokenizer.huggingface.json": "{"}, "huggingface.json is broken"),
        ({"tokenizer.huggingface.json": "[]"}, "huggingface.json is broken"),
    ],
)
def test_broken_metadata_is_one_line(change: dict[str, Any], message: str) -> None:
    metadata = byte_level_metadata([], []) | change
    with pytest.raises(BitwrightError, match=message) as caught:
        Tokenizer.from_metadata({key: value for key, value in metadata.items() if value is not None})
    assert "\n" not in str(caught.value)


def test_ids_outside_the_vocabulary_are_refused() -> None:
    tokenizer = Tokenizer.from_metadata(byte_level_metadata([], []))
    for id in (-1, 256):
        with pytest.raises(UsageError, match="not below the vocabulary's 256"):
            tokenizer.decode([id])
