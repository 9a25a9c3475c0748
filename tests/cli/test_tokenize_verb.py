"""`bitwright tokenize`, against llama.cpp's vectors."""

from __future__ import annotations

import pytest
from cli.support import finish, start

CASES = "\n__ggml_vocab_test__\n"


@pytest.mark.parametrize("vocabulary", ["gpt-2", "falcon"])
def test_ids_equal_the_ids_of_llama_cpp(bitwright, data, tmp_path, vocabulary) -> None:
    model = data / f"tokenizers/ggml-vocab-{vocabulary}.gguf"
    texts = model.with_name(model.name + ".inp").read_bytes().decode().split(CASES)
    expected = [
        [int(n) for n in line.split()] for line in model.with_name(model.name + ".out").read_text().splitlines()
    ]
    text = tmp_path / "text"
    for case in (3, 20, len(expected) - 1):
        text.write_bytes(texts[case].encode())
        assert bitwright("tokenize", model, "-f", text, "--json").json["ids"] == expected[case]


def test_special_tokens_are_added_and_parsed_only_on_request(bitwright, data, smollm2) -> None:
    baichuan = data / "tokenizers/ggml-vocab-baichuan.gguf"
    plain = bitwright("tokenize", baichuan, "Hello", "--json").json["ids"]
    assert bitwright("tokenize", baichuan, "Hello", "--json", "--special").json["ids"] == [1, *plain]
    assert bitwright("tokenize", smollm2, "<|im_start|>", "--parse-special").out == "1\n"
    assert len(bitwright("tokenize", smollm2, "<|im_start|>").out.split()) > 1


def test_pieces_show_each_token(bitwright, smollm2) -> None:
    lines = bitwright("tokenize", smollm2, "Hello there", "--pieces").out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == ["piece", "'Hello'", "' there'"]


def test_text_from_stdin(stories260k) -> None:
    outcome = finish(start("tokenize", stories260k, "-f", "-"), "Once upon a time")
    assert outcome.code == 0 and len(outcome.out.split()) >= 4


def test_invalid_text_is_refused(bitwright, stories260k, tmp_path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(b"abc\xff")
    outcome = bitwright("tokenize", stories260k, "-f", file)
    assert outcome.code == 2 and "byte 3: expected UTF-8 text, got byte 0xff" in outcome.err
