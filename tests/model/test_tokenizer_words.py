"""Pre-tokenizers against llama.cpp: GPT-2's vocabulary with every value of `tokenizer.ggml.pre`.

`golden/pretokenizers.json` holds the ids llama.cpp (b11549) gave for files that differ only in that value.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitwright.io import gguf
from bitwright.model.pretokenizers import PRE_TOKENIZERS
from bitwright.model.tokenizer import Tokenizer

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/pretokenizers.json").read_text())


@pytest.mark.parametrize("name", GOLDEN["ids"])
def test_ids_equal_the_ids_of_llama_cpp(data: Path, name: str) -> None:
    metadata = dict(gguf.open(data / "tokenizers/ggml-vocab-gpt-2.gguf").metadata)
    tokenizer = Tokenizer.from_metadata(metadata | {"tokenizer.ggml.pre": name})
    for text, expected in zip(GOLDEN["texts"], GOLDEN["ids"][name], strict=True):
        assert tokenizer.encode(text, add_special_tokens=False) == expected, repr(text)


def test_every_name_shares_its_patterns_with_a_checked_one() -> None:
    checked = {PRE_TOKENIZERS[name].patterns for name in GOLDEN["ids"]}
    assert all(words.patterns in checked for words in PRE_TOKENIZERS.values())
