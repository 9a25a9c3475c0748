"""Two models that continue one prompt, token by token, until their paths part; and how long that takes over prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure import standard_text
from bitwright.measure.rollout import baseline, horizon, reading, writing
from bitwright.measure.softmax import log_probabilities
from bitwright.views.intervals import of_estimate, of_survival
from bitwright.views.next_token import MOST_TOKENS, text_of
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.rollout.reading import Reading
    from bitwright.measure.rollout.writing import Rollout
    from bitwright.model.tokenizer import Tokenizer

STEPS = 24  # tokens of a recorded continuation
MOST_STEPS = 96  # of one that is asked for
PROMPTS, PROMPT_TOKENS, HORIZON = 16, 16, 24  # of the survival curve: prompts, and tokens of each that are written
EXAMPLES = (
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "def mean(values):\n    return",
)


def steps(reference: Engine, candidate: Engine, prompt: str, count: int = STEPS) -> Iterator[dict[str, Any]]:
    """What both write, greedily, one token at a time: step (from 1), together (whether both have read the same tokens),
    divergence (nats between their predictions; None when they have not), reference and candidate{text, probability, of
    (what that model gave the other's token; None when they have read other tokens)}, or None where a model has ended.

    UsageError if the prompt has no tokens or too many.
    """
    tokenizer = reference.tokenizer
    ids = tokenizer.encode(prompt)
    if not 1 <= len(ids) <= MOST_TOKENS:
        raise UsageError(f"expected a prompt of 1 to {MOST_TOKENS} tokens, got {len(ids)}")
    if not 1 <= count <= MOST_STEPS:
        raise UsageError(f"expected 1 to {MOST_STEPS} tokens to write, got {count}")
    return _steps(reference, candidate, ids, count)


def _steps(reference: Engine, candidate: Engine, ids: Sequence[int], count: int) -> Iterator[dict[str, Any]]:
    tokenizer, sessions = reference.tokenizer, (reference.session(), candidate.session())
    rows = [log_probabilities(session.prefill(ids)) for session in sessions]
    chosen, together = [-1, -1], True
    for step in range(1, count + 1):
        alive = [token not in tokenizer.end_of_generation for token in chosen]
        if not any(alive):
            return
        chosen = [int(row.argmax()) if on else token for row, on, token in zip(rows, alive, chosen, strict=True)]
        said = [
            _said(tokenizer, row, own, other if together else None) if on else None
            for row, on, own, other in zip(rows, alive, chosen, chosen[::-1], strict=True)
        ]
        nats = float(np.exp(rows[0]) @ (rows[0] - rows[1])) if together else None
        yield plain(
            {"step": step, "together": together, "divergence": nats, "reference": said[0], "candidate": said[1]}
        )
        together = together and chosen[0] == chosen[1]
        if step < count:
            for place, (session, token) in enumerate(zip(sessions, chosen, strict=True)):
                if token not in tokenizer.end_of_generation:
                    rows[place] = log_probabilities(session.step(token))


def _said(tokenizer: Tokenizer, row: NDArray[np.float64], own: int, other: int | None) -> dict[str, Any]:
    """A token, and what log-probabilities (vocabulary,) say of it and of another."""
    of = None if other is None else np.exp(row[other])
    return {"text": text_of(tokenizer, own), "probability": np.exp(row[own]), "of": of}


def recorded(reference: Engine, candidate: Engine) -> list[dict[str, Any]]:
    """prompt, steps (`steps`) of each example."""
    return [{"prompt": prompt, "steps": list(steps(reference, candidate, prompt))} for prompt in EXAMPLES]


def written(reference: Engine) -> tuple[list[Rollout], list[Reading]]:
    """What the original writes from prompts of the standard text, greedily, and how it reads that itself when computed
    otherwise: its noise floor."""
    prompts = baseline.prompts_of(reference.tokenizer, standard_text.read(), PROMPTS, PROMPT_TOKENS)
    rollouts = writing.write(reference, prompts, HORIZON)
    return rollouts, reading.read_all(baseline.otherwise(reference), rollouts, rounded=True)


def survival(rollouts: Sequence[Rollout], floor: Sequence[Reading], candidate: Engine) -> dict[str, Any]:
    """prompts, steps, tokens_differing (`of_estimate`: the share of tokens for which the candidate would have written
    another), and `of_survival` of the first divergence over the prompts, with share[], band_low[] and band_high[] at
    every step from 0 (None if there are too few documents for an interval)."""
    found = horizon.first_divergence(reading.read_all(candidate, rollouts), floor, HORIZON)
    s = found.survival
    low, high = (None, None) if s.band is None else (s.band[0], s.band[1])
    about = {"prompts": len(rollouts), "steps": HORIZON, "tokens_differing": of_estimate(found.differing)}
    return plain({**about, **of_survival(s), "share": s.share, "band_low": low, "band_high": high})
