"""Prompts as token ids: through a model's chat template, or as plain turns for a model without one."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bitwright.measure.horizon.prompts import Item
from bitwright.measure.rollout.writing import Prompt

if TYPE_CHECKING:
    from bitwright.model.model import Model

DAY = datetime.date(2026, 11, 29)  # for templates that write the date: prompts must be the same on every day
SPEAKERS = {"user": "User", "assistant": "Assistant"}


def render(model: Model, items: Sequence[Item]) -> list[Prompt]:
    """The items in a model's tokens; each counts as a document. BitwrightError if its template refuses one."""
    return [Prompt(np.array(ids_of(model, item), np.int32), number) for number, item in enumerate(items)]


def ids_of(model: Model, item: Item) -> list[int]:
    """One item in a model's tokens."""
    tokenizer = model.tokenizer
    if model.chat_template is not None:
        return model.chat_template.encode(tokenizer, item.messages, strftime_now=DAY.strftime)
    start = [tokenizer.bos] if tokenizer.add_bos and tokenizer.bos is not None else []
    return start + tokenizer.encode(plain(item), add_special_tokens=False)


def plain(item: Item) -> str:
    """The turns, each after its speaker's name and followed by an empty line; the last line asks for a reply."""
    said = "".join(f"{SPEAKERS[m['role']]}: {m['content']}\n\n" for m in item.messages)
    return f"{said}{SPEAKERS['assistant']}:"


def sha256_of(prompts: Sequence[Prompt]) -> str:
    """SHA-256 of the token ids: int32, little-endian, each prompt preceded by its length."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(np.array([len(prompt.ids), *prompt.ids], "<i4").tobytes())
    return digest.hexdigest()
