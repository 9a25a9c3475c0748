"""tokenizer.huggingface.json from strangers: known components give the library's ids, all else is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tokenizers
from vocabularies import byte_level_metadata

from bitwright.errors import BitwrightError, UnsupportedError
from bitwright.model.tokenizer import Tokenizer, byte_characters

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTION + r"?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTION + r"?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (  # line ends as they are, not as escapes
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^"""
    "\r\n"
    r"""\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+["""
    "\r\n"
    r"""]*|\s*["""
    "\r\n"
    r"""]+|\s+(?!\S)|\s+"""
)
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ hello", "1 2", "12 3", "Ġ Ġ", "' l", "'l l"]
TEXT = "Hello  hello, HELLO we'll 'LL 12345 ٣٤ ok?!\r\n\n 我想 e\u0301 <|end|> \ufb01 <tag>x \t  end  "
FLAGS = {"single_word": False, "lstrip": False, "rstrip": True, "normalized": False}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
PLAIN_BYTES = BYTE_LEVEL | {"use_regex": False}


def split(pattern: str, behavior: str = "Isolated", kind: str = "Regex", invert: bool = False) -> dict[str, Any]:
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(parts)}


def carried(**changes: Any) -> dict[str, Any]:
    """A whole tokenizer.json of a small byte-level vocabulary, with `changes` of its sections."""
    joined = [merge.replace(" ", "") for merge in MERGES]
    vocabulary = {text: id for id, text in enumerate([*byte_characters(), *joined])}
    added = [
        {"id": len(vocabulary), "content": "<|end|>", "special": True, **FLAGS},
        {"id": len(vocabulary) + 1, "content": "<tag>", "special": False, **FLAGS},
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": MERGES},
    } | changes


def tokenizer(text: object) -> Tokenizer:
    known = carried()
    texts = [*known["model"]["vocab"], *(row["content"] for row in known["added_tokens"])]
    return Tokenizer.from_metadata(byte_level_metadata([], []) | {
        "tokenizer.ggml.tokens": texts,
        "tokenizer.huggingface.json": text,
    })  # fmt: skip


def model(**changes: Any) -> dict[str, Any]:
    return {"model": carried()["model"] | changes}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalizer": {"type": "NFC"}, "pre_tokenizer": sequence(split(QWEN2), PLAIN_BYTES)},
        {"normalizer": {"type": "Sequence", "normalizers": []}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}},
        {
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "_"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "_"},
                ],
            },
            "pre_tokenizer": None,
        },
        {
            "pre_tokenizer": sequence(
                split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK), PLAIN_BYTES
            )
        },
        {"pre_tokenizer": sequence(split(O200K, "Removed", invert=True), PLAIN_BYTES)},
        {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, BYTE_LEVEL)},
        {"pre_tokenizer": split(" ", "MergedWithPrevious", "String")},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": False}},
        {
            "pre_tokenizer": sequence(
                {"type": "Punctuation", "behavior": "Contiguous"},
                BYTE_LEVEL,
                {"type": "Digits", "individual_digits": False},
                split("[0-9][0-9][0-9]"),
            )
        },
        {"pre_tokenizer": sequence({"type": "WhitespaceSplit"}, {"type": "Whitespace"})},
        model(merges=[merge.split(" ") for merge in MERGES], ignore_merges=True, fuse_unk=True, unk_token="h"),
        model(dropout=None, continuing_subword_prefix="", end_of_word_suffix=""),
    ],
    ids=range(14),
)  # fmt: skip
@pytest.mark.parametrize("parse", [False, True])
def test_known_components_give_the_ids_of_the_library(changes: dict[str, Any], parse: bool) -> None:
    text = json.dumps(carried(**changes))
    reference = tokenizers.Tokenizer.from_str(text)
    reference.encode_special_tokens = not parse
    expected = reference.encode(TEXT, add_special_tokens=False).ids
    assert tokenizer(text).encode(TEXT, False, parse_special=parse) == expected
    assert len(expected) > 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre_tokenizer": {"type": "FixedLength", "length": 0}}, "pre_tokenizer 'FixedLength' is not supported"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "normalizer 'Precompiled' is not"),
        ({"pre_tokenizer": split("(?:(?:a|aa)+)+$")}, r"regular expression '\(\?:\(\?:a\|aa\)\+\)\+\$' is"),
        ({"normalizer": {"type": "Replace", "pattern": {"Regex": "a"}, "content": "a"}}, "pattern 'Regex' is not"),
        ({"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}}, "no longer than its"),
        ({"normalizer": {"type": "Prepend", "prepend": "a" * 999}}, "a text of 1 to 64 characters"),
        ({"normalizer": {"type": ["NFC"]}}, r"normalizer \['NFC'\] is not supported"),
        ({"normalizer": {"type": "NFC", "more": 1}}, "field of normalizer NFC 'more' is not supported"),
        ({"normalizer": [1]}, "at normalizer: expected an object"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 17}}, "at most 16 components"),
        ({"pre_tokenizer": sequence(BYTE_LEVEL, BYTE_LEVEL)}, "one of them ByteLevel"),
        ({"pre_tokenizer": {"type": "Sequence", "normalizers": []}}, "field of pre_tokenizer Sequence 'normalizers'"),
        ({"pre_tokenizer": {"type": "Digits"}}, "expected a field 'individual_digits'"),
        ({"pre_tokenizer": split("", kind="String")}, "a text of 1 to 64 characters"),
        ({"pre_tokenizer": split(" ", "Sideways", "String")}, "expected one of Removed, Isolated, .* found 'Sideways'"),
        ({"pre_tokenizer": {"type": "Metaspace", "replacement": "__"}}, "replacement: expected one character"),
        ({"pre_tokenizer": {"type": "ByteLevel", "use_regex": 1}}, "use_regex: expected true or false, found 1"),
        (model(type="Unigram"), "model 'Unigram' is not supported; supported: BPE"),
        (model(type="WordLevel"), "model 'WordLevel' is not supported; supported: BPE"),
        (model(dropout=0.5), "dropout 0.5 is not supported"),
        (model(continuing_subword_prefix="##"), "continuing_subword_prefix '##' is not supported"),
        (model(unk_token="zzz"), "unk_token: expected a text of model.vocab, found 'zzz'"),
        (model(vocab=[["a", 0.0]]), "model.vocab: expected an object"),
        (model(vocab={"a": 4_000_000_000}), "model.vocab of 'a': expected an id below 268"),
        (model(vocab={"a": 1.0}), "model.vocab of 'a': expected an id below 268"),
        (model(vocab={"a": 1, "b": 1}, merges=[]), "one text for each id"),
        (model(vocab={"\ud800": 1}, merges=[]), "broken"),
        (model(merges=["h z"]), "two tokens that join to a token, found 'h z'"),
        (model(merges=[["h", 1]]), "expected two texts"),
        ({"model": None}, "at model: expected an object"),
        ({"added_tokens": [{"id": 999, "content": "x"}]}, "of 'x': expected an id below 268, .* found 999"),
        ({"added_tokens": [{"id": 5, "content": "new"}]}, "added_tokens of 'new': expected id 266"),
        ({"added_tokens": [{"id": 5, "content": ""}]}, "expected a content"),
        ({"added_tokens": {"id": 5}}, "at added_tokens: expected a list"),
        ({"surprise": 1}, "section 'surprise' is not supported"),
    ],
)  # fmt: skip
def test_all_else_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BitwrightError, match=message) as caught:
        tokenizer(json.dumps(carried(**changes)))
    assert "\n" not in str(caught.value) and "tokenizer" in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "huggingface.json is broken"),
        ("[]", "expected an object"),
        ("[" * 100_000, "is broken"),
        ("9" * 10_000, "is broken"),
        (" " * (2 << 20), "expected a text of at most 1,185,792 characters, found '2,097,152'"),
        (7, "huggingface.json to be a string, got integer 7"),
    ],
    ids=range(6),
)
def test_what_is_no_tokenizer_is_one_line(text: object, message: str) -> None:
    with pytest.raises(BitwrightError, match=message) as caught:
        tokenizer(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_decoder_and_post_processor_are_never_run() -> None:
    strange = {"type": "Fuse", "anything": [1]}
    assert tokenizer(json.dumps(carried(decoder=strange, post_processor=strange))).decode([72, 73])


def test_a_panic_of_the_library_is_one_line() -> None:
    class PanicException(BaseException):
        pass

    class Encoder:
        def encode_batch_fast(self, texts: list[str], add_special_tokens: bool) -> None:
            raise PanicException("index out of bounds:\nthe len is 0")

    broken = tokenizer(json.dumps(carried()))
    broken._encoder = Encoder()  # type: ignore[assignment]
    with pytest.raises(BitwrightError, match="tokenizer is broken: index out of bounds: the len is 0$"):
        broken.encode("hi")


def test_a_refused_pattern_is_not_a_usage_error() -> None:
    with pytest.raises(UnsupportedError) as caught:
        tokenizer(json.dumps(carried(pre_tokenizer=split("a+"))))
    assert caught.value.exit_code == 1
