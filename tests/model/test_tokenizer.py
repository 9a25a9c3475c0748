"""Tokenizers rebuilt from GGUF metadata give the ids of other implementations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_files import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabularies import CONTROL, NORMAL, USER_DEFINED, byte_level_metadata, long_texts, spm_metadata

from bitwright.errors import UsageError
from bitwright.io import gguf
from bitwright.model.pretokenizers import PRE_TOKENIZERS
from bitwright.model.tokenizer import Tokenizer

VOCABULARIES = ("gpt-2", "falcon", "baichuan")
CASES = "\n__ggml_vocab_test__\n"

IDS = json.loads((DATA / "tokenizers/ids.json").read_text())  # by vocabulary, or gpt-2/pre-tokenizer: a list a case

_opened: dict[str, Tokenizer] = {}


def cases(data: Path, name: str) -> list[tuple[str, list[int]]]:
    """Texts of llama.cpp's own tests, and its ids of each."""
    texts = (data / "tokenizers/ggml-vocab-gpt-2.gguf.inp").read_bytes().decode().split(CASES)
    path = data / f"tokenizers/ggml-vocab-{name}.gguf.out"  # a line a case; the last is the empty text's
    ids = IDS.get(name) or [[int(n) for n in line.split()] for line in path.read_text().split("\n")]
    assert len(texts) == len(ids) > 40
    return list(zip(texts, ids, strict=True))


def vocabulary(data: Path, name: str) -> Tokenizer:
    if name not in _opened:
        _opened[name] = Tokenizer.from_gguf(gguf.open(data / f"tokenizers/ggml-vocab-{name}.gguf"))
    return _opened[name]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_ids_equal_the_vectors_of_llama_cpp(data: Path, name: str) -> None:
    tokenizer = vocabulary(data, name)
    for text, expected in cases(data, name):
        assert tokenizer.encode(text, add_special_tokens=False) == expected, repr(text)
        assert tokenizer.decode(expected) == text


def test_every_pre_tokenizer_cuts_as_llama_cpp_does(data: Path) -> None:
    metadata = dict(gguf.open(data / "tokenizers/ggml-vocab-gpt-2.gguf").metadata)
    names = [name for name in IDS if name.startswith("gpt-2/")]
    assert {PRE_TOKENIZERS[name.removeprefix("gpt-2/")] for name in names} == set(PRE_TOKENIZERS.values())
    for name in names:
        tokenizer = Tokenizer.from_metadata(metadata | {"tokenizer.ggml.pre": name.removeprefix("gpt-2/")})
        for text, expected in cases(data, name):
            assert tokenizer.encode(text, add_special_tokens=False) == expected, (name, text)


@pytest.mark.parametrize("carried", [False, True], ids=["rebuilt", "tokenizer.json"])
def test_a_long_text_gives_the_reference_ids(data: Path, carried: bool) -> None:
    folder = data / "tokenizers/rten-reftests"
    text = (folder / "monty-python-credits.txt").read_bytes().decode()
    expected = json.loads((folder / "monty-python-credits-gpt2.json").read_text())["token_ids"]
    metadata = dict(gguf.open(data / "tokenizers/ggml-vocab-gpt-2.gguf").metadata)
    if carried:
        metadata["tokenizer.huggingface.json"] = (folder / "models/gpt2/tokenizer.json").read_text(encoding="utf-8")
        metadata["tokenizer.ggml.merges"] = []  # so that nothing can be rebuilt
    assert Tokenizer.from_metadata(metadata).encode(text, add_special_tokens=False) == expected


@pytest.mark.parametrize("name", VOCABULARIES)
def test_long_texts_survive_a_round_trip(data: Path, name: str) -> None:
    tokenizer = vocabulary(data, name)
    for text in long_texts(data):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text, text[:80]


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_any_text_survives_a_round_trip(data: Path, text: str) -> None:
    for name in ("gpt-2", "baichuan"):  # Falcon's has no token for some bytes
        if name == "baichuan" and "▁" in text:
            continue  # SentencePiece cannot tell this character from a space
        tokenizer = vocabulary(data, name)
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text, name


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.sampled_from(("gpt-2", "baichuan")))
def test_a_stream_gives_whole_characters_and_the_same_text(data: Path, text: str, name: str) -> None:
    tokenizer = vocabulary(data, name)
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


def test_control_tokens_are_parsed_only_on_request(data: Path) -> None:
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


def test_the_text_of_a_control_token_is_plain_text(data: Path) -> None:
    """Merging does not build the control token either."""
    steps = [("<", -9.0, NORMAL), ("s", -9.0, NORMAL), (">", -9.0, NORMAL), ("<s", -1.0, NORMAL), ("▁", -9.0, NORMAL)]
    tokenizer = Tokenizer.from_metadata(spm_metadata(steps))
    assert [tokenizer.token_text(id) for id in tokenizer.encode("<s>", False)] == ["▁", "<s", ">"]
    assert tokenizer.encode("<s>", False, parse_special=True) == [1]


def test_the_space_prefix_of_sentencepiece_is_added_and_removed(data: Path) -> None:
    tokenizer = vocabulary(data, "baichuan")
    hello = tokenizer.encode("Hello", add_special_tokens=False)
    assert tokenizer.encode("Hello") == [tokenizer.bos, *hello]
    assert tokenizer.token_text(hello[0]) == "▁Hello" and tokenizer.token_bytes(hello[0]) == b" Hello"
    assert tokenizer.decode(hello) == "Hello"
    assert tokenizer.encode("<s>Hello", False, parse_special=True) == [1, *hello]
    assert tokenizer.decode([1, *hello]) == "<s>Hello"
    assert tokenizer.stream(continuing=True).feed(hello[0]) == " Hello"
    off = dict(gguf.open(data / "tokenizers/ggml-vocab-baichuan.gguf").metadata)
    off["tokenizer.ggml.add_space_prefix"] = False
    bare = Tokenizer.from_metadata(off)
    assert bare.token_text(bare.encode("Hello", False)[0]) == "Hello"
    assert bare.decode(bare.encode(" Hello", False)) == " Hello"


def test_bytes_stand_in_for_unknown_characters(data: Path) -> None:
    tokenizer = Tokenizer.from_metadata(spm_metadata([("▁", -1.0, NORMAL)]))
    ids = tokenizer.encode("\u20ac", add_special_tokens=False)
    assert [tokenizer.token_text(id) for id in ids] == ["▁", "<0xE2>", "<0x82>", "<0xAC>"]
    assert tokenizer.decode(ids) == "€"


def test_ids_outside_the_vocabulary_are_refused() -> None:
    tokenizer = Tokenizer.from_metadata(byte_level_metadata([], []))
    for id in (-1, 256):
        with pytest.raises(UsageError, match="not below the vocabulary size 256"):
            tokenizer.decode([id])
