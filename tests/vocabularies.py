"""Metadata of small vocabularies, as GGUF files hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bitwright.measure import standard_text
from bitwright.model.tokenizer import byte_characters

CONTROL, NORMAL, UNKNOWN, BYTE, USER_DEFINED = 3, 1, 2, 6, 4  # tokenizer.ggml.token_type


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


def long_texts(data: Path) -> list[str]:
    """Prose, stories, code and other scripts, of up to 100,000 characters."""
    paths = (
        "text/wikitext-2/valid.txt",
        "text/tinystories/tiny.utf8",
        "tokenizers/rten-reftests/monty-python-credits.txt",
    )
    return [standard_text.read(), *((data / path).read_bytes().decode()[:100_000] for path in paths)]
