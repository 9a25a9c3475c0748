"""Calibration texts as chunks of token ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.model.model import Model

Text = tuple[str, str | Sequence[int]]  # a name, and a text or the ids of one


def digest(pieces: NDArray[np.int32]) -> str:
    """SHA-256 of the token ids of all pieces."""
    return hashlib.sha256(np.ascontiguousarray(pieces, "<i4").tobytes()).hexdigest()


def cut(model: Model, texts: Sequence[Text], context: int, chunks: int | None) -> NDArray[np.int32]:
    """The token ids (pieces, context) of texts; UsageError if no text is as long as a chunk."""
    trained = model.config.context
    if not 1 <= context <= trained:
        raise UsageError(f"chunks must have 1 to {trained} tokens (the model's context), got {context}")
    pieces = np.concatenate([_pieces(model, text, context, chunks) for _, text in texts])
    if not len(pieces):
        raise UsageError(f"every text is shorter than a chunk of {context} tokens")
    return pieces


def conversations(model: Model, text: str, source: object) -> list[int]:
    """The ids of JSON lines {"messages": [{"role": ..., "content": ...}]}, each as the model's chat template writes it.

    Raises UsageError naming `source` and the line that is something else, or a model without a template.
    """
    template = model.chat_template
    if template is None:
        raise UsageError(f"{model.path} has no chat template, which conversations need")
    ids: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            messages = json.loads(line)["messages"]
            if not (messages and all(isinstance(m["role"], str) and "content" in m for m in messages)):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            expected = '{"messages": [{"role": ..., "content": ...}, ...]}'
            raise UsageError(f"{source}, line {number}: expected {expected}, got {line.strip()[:60]}") from None
        ids += template.encode(model.tokenizer, messages, add_generation_prompt=False)
    return ids


def _pieces(model: Model, text: str | Sequence[int], context: int, chunks: int | None) -> NDArray[np.int32]:
    ids = np.array(model.tokenizer.encode(text) if isinstance(text, str) else text, np.int32)
    pieces = ids[: len(ids) // context * context].reshape(-1, context)[:chunks]
    if model.tokenizer.add_bos and model.tokenizer.bos is not None:
        pieces[:, 0] = model.tokenizer.bos
    return pieces
