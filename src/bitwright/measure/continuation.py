"""Text that continues other text: its tokens, and how likely a model finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bitwright.measure.softmax import negative_log_likelihoods

if TYPE_CHECKING:
    from bitwright.engine import Session
    from bitwright.model.tokenizer import Tokenizer


def continued(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of text that continues other text; it begins with a space or a newline."""
    ids = tokenizer.encode(text.removeprefix(" ") if tokenizer.space_prefix else text, add_special_tokens=False)
    lone = tokenizer.space_prefix and text.startswith("\n") and tokenizer.token_bytes(ids[0]) == b" "
    return ids[1:] if lone else ids


def likelihood(session: Session, before: list[int], tokens: list[int]) -> tuple[float, bool]:
    """The log-likelihood in nats of `tokens` (at least one) after `before`, and whether each is the likeliest token.

    A prefix that the session has already read is not read again.
    """
    ids, read = before + tokens[:-1], session.ids[0]
    common = next((i for i, (a, b) in enumerate(zip(read, ids, strict=False)) if a != b), min(len(read), len(ids)))
    keep = min(common, len(before) - 1)
    session.reset(keep)
    logits = session.extend(ids[keep:], range(len(before) - 1 - keep, len(ids) - keep))
    losses = negative_log_likelihoods(logits, np.array(tokens, np.int32))
    return -float(losses.sum()), bool((logits.argmax(1) == tokens).all())
