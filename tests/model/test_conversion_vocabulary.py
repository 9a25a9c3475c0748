"""Vocabularies of checkpoints: ids as by the libraries they were made with, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
import tiny_vocabularies
import tokenizers
from checkpoint_configs import CASES, SENTENCEPIECE
from test_conversion import Folders, folders, golden  # noqa: F401  a fixture
from tiny_vocabularies import field, model_bytes

from bitwright.errors import BitwrightError, FileFormatError, UnsupportedError
from bitwright.io.values import Values
from bitwright.model.conversion import chat_templates, sentencepiece, vocabulary
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.model.pretokenizers import PRE_TOKENIZERS, recognised
from bitwright.model.tokenizer import Tokenizer

PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("<0x41>", 0.0, 6), ("a", -1.0, 1), ("▁x y", 0.0, 4)]


def tokenizer_of(folder: Path) -> Tokenizer:
    return Tokenizer.from_gguf(Checkpoint(folder))


@pytest.mark.parametrize("case", sorted(set(CASES) - set(SENTENCEPIECE)))
def test_ids_are_those_of_the_tokenizers_library(folders: Folders, case: str, data: Path) -> None:  # noqa: F811
    theirs = tokenizers.Tokenizer.from_file(str(folders[case] / "tokenizer.json"))
    ours = tokenizer_of(folders[case])
    for text in [*tiny_checkpoints.texts(data), "<|begin|>a<tool> b<|end|>", "<tool"]:
        assert ours.encode(text, parse_special=True) == theirs.encode(text).ids, text


@pytest.mark.parametrize("case", SENTENCEPIECE)
def test_ids_are_those_of_sentencepiece(folders: Folders, case: str, data: Path) -> None:  # noqa: F811
    ours = tokenizer_of(folders[case])
    for text, ids in zip(tiny_checkpoints.texts(data), golden(case)["ids"], strict=True):
        assert ours.encode(text, add_special_tokens=False) == ids, text


def test_every_kind_of_pre_tokenizer_is_recognised() -> None:
    for name, words in PRE_TOKENIZERS.items():
        found = recognised(words.patterns, words.ignore_merges)
        assert found is not None
        assert PRE_TOKENIZERS[found]._replace(add_bos=words.add_bos) == words, name
    assert recognised((r"\p{L}+",), False) is None
    assert recognised([tiny_vocabularies.LLAMA_WORDS], True) == "llama-bpe"
    assert recognised([tiny_vocabularies.QWEN_WORDS], False) == "qwen2"


def changed(folder: Path, change: Callable[[dict[str, Any]], Any], file: str = "tokenizer.json") -> Path:
    """A byte-level tokenizer with a change."""
    tiny_vocabularies.byte_level_json("qwen2", folder)
    found = json.loads((folder / file).read_text())
    change(found)
    (folder / file).write_text(json.dumps(found))
    return folder


def put(*path: Any) -> Callable[[dict[str, Any]], None]:
    """The change that puts the last of these at the place of the others."""
    *places, key, value = path

    def change(found: Any) -> None:
        for place in places:
            found = found[place]
        found[key] = value

    return change


SPLIT = ("pre_tokenizer", "pretokenizers", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("model", "type", "Unigram"), "model.type of string 'Unigram' is not supported; supported: 'BPE'"),
        (put("model", "byte_fallback", True), "byte_fallback of bool True is not supported; supported: tokenizer.m"),
        (put("model", "vocab", []), "model.vocab to be an object of tokens and ids"),
        (put("model", "vocab", {"a": 1, "b": 1}), "an id below .* that no other token has for 'b', got integer 1"),
        (put("model", "vocab", {"a": 1 << 40}), "an id below 325"),
        (put("model", "vocab", {"a": "1"}), "an id below 325"),
        (put("model", "merges", ["a b c"]), "a merge of two tokens without spaces"),
        (put("model", "merges", [["a", 1]]), "a merge of two tokens"),
        (put("model", "merges", "a b"), "model.merges to be a list"),
        (put("normalizer", {"type": "Lowercase"}), "normalizer Lowercase is not supported; supported: NFC"),
        (put("normalizer", {"type": 3}), "normalizer.type to be a string"),
        (put("pre_tokenizer", None), "a pre-tokenizer without ByteLevel is not supported"),
        (put("pre_tokenizer", {"type": "Whitespace"}), "pre-tokenizer Whitespace is not supported"),
        (put("pre_tokenizer", {"type": "Sequence", "pretokenizers": [3]}), "pretokenizers to be a list of objects"),
        (put(*SPLIT, "pattern", {"Regex": r"\p{L}+"}), r"splitting words by \\p\{L\}\+ is not supported"),
        (put(*SPLIT, "behavior", "Removed"), "pre-tokenizer Split is not supported"),
        (put("model", "ignore_merges", True), "splitting words and ignoring merges by"),
        (put("pre_tokenizer", {"type": "ByteLevel"}), "pre-tokenizer ByteLevel is not supported"),
        (put("added_tokens", [{"id": 5, "content": "other"}]), "one token of id 5"),
        (put("added_tokens", [{"id": 500, "content": "a"}]), "ids of added tokens below 325 .vocab_size., got 500"),
        (put("added_tokens", [{"id": 5}]), "added tokens with an id, a content"),
        (put("added_tokens", [7]), "added tokens with an id, a content"),
        (put("post_processor", {"type": "BertProcessing"}), "post-processor BertProcessing is not supported"),
        (put("post_processor", {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<x>"}}]}),
         "a template <x> is not supported"),
    ],
    ids=range(24),
)  # fmt: skip
def test_what_llama_cpp_would_read_differently_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(BitwrightError, match=message):
        vocabulary.metadata(changed(tmp_path, change), 325, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("model", "byte_fallback", False), "model.byte_fallback of false is not supported; supported: true"),
        (put("model", "type", "Unigram"), "model.type of string 'Unigram' is not supported"),
        (put("normalizer", None), "normalizers .. is not supported; supported: Replace of spaces by ▁"),
        (put("normalizer", "content", "_"), "normalizers .*'_'.* is not supported"),
        (put("pre_tokenizer", {"type": "Whitespace"}), "pre-tokenizer Whitespace is not supported"),
        (put("pre_tokenizer", "pattern", {"Regex": " "}), "pre-tokenizer Split is not supported"),
        (put("model", "merges", ["a"]), "a merge of two tokens without spaces"),
        (put("added_tokens", [{"id": 423, "content": "a"}]), "ids of added tokens below 423"),
    ],
    ids=range(8),
)
def test_characters_that_llama_cpp_would_merge_differently_are_refused(
    tmp_path: Path, change: Any, message: str
) -> None:
    assert tiny_vocabularies.characters_json("gemma4", tmp_path) == 423
    found = json.loads((tmp_path / "tokenizer.json").read_text())
    change(found)
    (tmp_path / "tokenizer.json").write_text(json.dumps(found))
    with pytest.raises(BitwrightError, match=message):
        vocabulary.metadata(tmp_path, 423, {}, by_characters=True)


def test_a_template_is_read_whole_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chat_template.jinja").write_text("x" * (1 << 20) + "y")
    assert chat_templates.metadata(tmp_path, Values({}, "config"))[0]["tokenizer.chat_template"].value[-1] == "y"
    monkeypatch.setattr(chat_templates, "LARGEST", 1 << 20)
    with pytest.raises(FileFormatError, match="a template of at most 1 MiB, got more"):
        chat_templates.metadata(tmp_path, Values({}, "config"))


def test_templates_of_every_form(tmp_path: Path) -> None:
    def keys(config: dict[str, Any]) -> dict[str, Any]:
        return {k: v.value for k, v in chat_templates.metadata(tmp_path, Values(config, "config"))[0].items()}

    assert keys({}) == {}
    (tmp_path / "chat_template.json").write_text('{"chat_template": "j"}')
    assert keys({}) == {"tokenizer.chat_template": "j"}
    (tmp_path / "chat_template.jinja").write_text("file")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates/tool use.jinja").write_text("tools")
    several = {"tokenizer.chat_template.tool_use": "tools", "tokenizer.chat_templates": ["tool_use"]}
    assert keys({}) == {"tokenizer.chat_template": "file", **several}
    assert keys({"chat_template": "own"}) == {"tokenizer.chat_template": "own"}
    named = [{"name": "default", "template": "own"}, {"name": "tool_use", "template": "tools"}]
    assert keys({"chat_template": named}) == {"tokenizer.chat_template": "own", **several}
    with pytest.raises(FileFormatError, match="chat_template to be a text, or named ones"):
        keys({"chat_template": [3]})


def model(folder: Path, data: bytes) -> Path:
    (folder / "tokenizer.model").write_bytes(data)
    return folder / "tokenizer.model"


def test_pieces_of_sentencepiece(tmp_path: Path) -> None:
    pieces, space_prefix = sentencepiece.read(model(tmp_path, model_bytes(PIECES, dummy_prefix=False)))
    assert [(p.token.text, p.score, p.token.type) for p in pieces[:4]] == PIECES[:4] and not space_prefix
    assert pieces[4].token == (" x y", 4)  # looked for in plain text


def test_added_tokens_beyond_the_embedding_are_left_out(tmp_path: Path) -> None:
    """As published: the smallest Gemma 3 name a token for images, and have no row for it."""
    path = model(tmp_path, model_bytes(PIECES))
    more = Values({"<image>": 7, "<tool>": 5}, "added_tokens.json")
    config = {"added_tokens_decoder": {str(id): {"content": f"<{id}>", "special": True} for id in (6, 7)}}
    found = sentencepiece.vocabulary(path, 7, more, Values(config, "config"))
    assert found["tokens"].value[4:] == [" x y", "<tool>", "<6>"] and found["token_type"].value[4:] == [4, 4, 3]
    with pytest.raises(FileFormatError, match="<tool> to be an id, got integer -1"):
        sentencepiece.vocabulary(path, 7, Values({"<tool>": -1}, "added_tokens.json"), Values({}, "config"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a vocabulary with pieces, got none"),
        (b"\x0a\x05ab", "byte 2: expected 5 bytes of field 1, got 2"),
        (b"\x0a" + b"\xff" * 12, "byte 1: expected a number of at most 10 bytes"),
        (b"\x0b", "byte 1: expected a field of wire type 0, 1, 2 or 5, got 3"),
        (b"\x08\x01", "byte 1: expected a message, got the number 1"),
        (field(1, field(1, b"\xff")), "byte 4: expected a piece in UTF-8"),
        (field(1, field(1, b"a") + field(3, 9)), "byte 2: expected a type of 'a' out of .*, got integer 9"),
        (model_bytes(PIECES, kind=1), "a vocabulary of kind unigram is not supported; supported: BPE"),
        (model_bytes(PIECES[:2]), "a vocabulary without byte fallback is not supported"),
        (model_bytes(PIECES) + field(3, field(2, b"map")), "normalizing texts by precompiled_charsmap"),
        (model_bytes(PIECES) + field(3, field(4, 1)), "normalizing texts by remove_extra_whitespaces"),
    ],
    ids=range(11),
)  # fmt: skip
def test_broken_sentencepiece_models_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises((FileFormatError, UnsupportedError), match=message):
        sentencepiece.read(model(tmp_path, data))


def test_damaged_sentencepiece_models_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    whole = model_bytes(PIECES)
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            try:
                sentencepiece.read(model(tmp_path, damaged))
            except BitwrightError as error:
                assert "\n" not in str(error)
