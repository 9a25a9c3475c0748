"""One answer of a model: what `run --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.engine.conversation import Answer


def answer(a: Answer) -> dict[str, Any]:
    """text, reasoning (what the model thought before it), ids (of both), stopped (stop, length, context or
    interrupted), prompt_tokens, prefill_seconds, decode_tokens_per_second (None if only one token came)."""
    return plain(
        {
            "text": a.text,
            "reasoning": a.reasoning,
            "ids": a.ids,
            "stopped": a.stopped,
            "prompt_tokens": a.prompt_tokens,
            "prefill_seconds": a.prefill_seconds,
            "decode_tokens_per_second": a.decode_rate,
        }
    )
