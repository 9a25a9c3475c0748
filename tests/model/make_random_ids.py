"""Asks llama.cpp, or transformers, for the ids of the random texts with every pre-tokenizer that it knows.

    python tests/model/make_random_ids.py llama.cpp        # needs xllamacpp
    python tests/model/make_random_ids.py transformers     # needs transformers

Writes its part of tests/golden/random_ids.json: hashes of ids, and `apart`, the numbers of the texts that are left out
because bitwright's ids differ. One vocabulary of bytes and merges serves all: GPT-2's.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "model")]

from data_files import unpacked  # noqa: E402
from random_texts import hashes, random_texts  # noqa: E402

from bitwright.io import gguf  # noqa: E402
from bitwright.model.pretokenizers import PRE_TOKENIZERS  # noqa: E402
from bitwright.model.tokenizer import Tokenizer  # noqa: E402

OUT = TESTS / "golden/random_ids.json"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vocabulary = unpacked(folder / "data") / "tokenizers/ggml-vocab-gpt-2.gguf"
        metadata, texts, made = dict(gguf.open(vocabulary).metadata), list(random_texts()), {}
        for pre, theirs in {"llama.cpp": of_llama_cpp, "transformers": of_transformers}[sys.argv[1]](
            vocabulary, folder
        ):
            own = Tokenizer.from_metadata(metadata | {"tokenizer.ggml.pre": pre})
            ours = [own.encode(text, add_special_tokens=False) for text in texts]
            apart = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
            made[pre] = {"apart": apart, "hashes": hashes(theirs, apart)}
    found = json.loads(OUT.read_text()) if OUT.exists() else {}
    OUT.write_text(json.dumps(found | {sys.argv[1]: made}, indent=1, sort_keys=True) + "\n")


def of_llama_cpp(vocabulary: Path, folder: Path) -> Iterator[tuple[str, list[list[int]]]]:
    from make_ids import ids

    for pre in sorted({kind: pre for pre, kind in reversed(PRE_TOKENIZERS.items())}.values()):  # one of each kind
        yield pre, ids(vocabulary, list(random_texts()), folder, pre=pre)


def of_transformers(vocabulary: Path, folder: Path) -> Iterator[tuple[str, list[list[int]]]]:
    """Of its own tokenizers of GPT-2, Qwen 2 and Qwen 3.5, and of the patterns by which it reads GGUF files."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import GPT2Tokenizer, Qwen2Tokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    from transformers.models.qwen3_5.tokenization_qwen3_5 import Qwen3_5Tokenizer

    metadata = gguf.open(vocabulary).metadata
    known = {token: id for id, token in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges: list[Any] = [tuple(pair.split(" ")) for pair in metadata["tokenizer.ggml.merges"]]
    for pre, kind in (("gpt-2", GPT2Tokenizer), ("qwen2", Qwen2Tokenizer), ("qwen35", Qwen3_5Tokenizer)):
        own = kind(vocab=known, merges=merges)
        yield pre, [own.encode(text, add_special_tokens=False) for text in random_texts()]
    for pre in ("llama-bpe", "tekken", "gpt-4o"):
        bare = Tokenizer(models.BPE(known, merges, ignore_merges=PRE_TOKENIZERS[pre].ignore_merges))
        split = pre_tokenizers.Split(Regex(GGUF_PRE_TOKENIZER_SPLITS[pre]), "isolated")
        bare.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
        yield pre, [bare.encode(text, add_special_tokens=False).ids for text in random_texts()]


if __name__ == "__main__":
    main()
