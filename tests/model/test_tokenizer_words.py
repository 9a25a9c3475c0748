"""Pre-tokenizers against llama.cpp and transformers: GPT-2's vocabulary with every value of `tokenizer.ggml.pre`.

`golden/pretokenizers.json` holds the ids llama.cpp (b11549) gave for files that differ only in that value, and
`golden/random_ids.json` hashes of the ids of random texts (made by make_random_ids.py).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from random_texts import hashes, random_texts

from bitwright.io import gguf
from bitwright.model.pretokenizers import PRE_TOKENIZERS
from bitwright.model.tokenizer import Tokenizer

GOLDEN_FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((GOLDEN_FOLDER / "pretokenizers.json").read_text())
RANDOM = json.loads((GOLDEN_FOLDER / "random_ids.json").read_text())


@cache
def metadata(data: Path) -> dict[str, Any]:
    return dict(gguf.open(data / "tokenizers/ggml-vocab-gpt-2.gguf").metadata)


@cache
def tokenizer_with(data: Path, name: str) -> Tokenizer:
    return Tokenizer.from_metadata(metadata(data) | {"tokenizer.ggml.pre": name})


@pytest.mark.parametrize("name", GOLDEN["ids"])
def test_ids_equal_the_ids_of_llama_cpp(data: Path, name: str) -> None:
    tokenizer = tokenizer_with(data, name)
    for text, expected in zip(GOLDEN["texts"], GOLDEN["ids"][name], strict=True):
        assert tokenizer.encode(text, add_special_tokens=False) == expected, repr(text)


def test_every_name_shares_its_patterns_with_a_checked_one() -> None:
    checked = {PRE_TOKENIZERS[name].patterns for name in GOLDEN["ids"]}
    assert all(words.patterns in checked for words in PRE_TOKENIZERS.values())


# Texts, of a thousand, that llama.cpp cuts in another way than these patterns: before an apostrophe after a combining
# mark (transformers cuts as we do), and between no-break and ideographic spaces.
APART = {"gpt-4o": 1, "tekken": 1, "deepseek-llm": 4}


@pytest.mark.parametrize("name", RANDOM["llama.cpp"])
def test_ids_of_a_thousand_random_texts(data: Path, name: str) -> None:
    tokenizer = tokenizer_with(data, name)
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in random_texts()]
    for judge in RANDOM:
        golden = RANDOM[judge].get(name, {"apart": [], "hashes": hashes(ids)})
        assert hashes(ids, golden["apart"]) == golden["hashes"]
        assert len(golden["apart"]) == (APART.get(name, 0) if judge == "llama.cpp" else 0)
