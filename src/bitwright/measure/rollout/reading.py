"""A rollout read by another model in one pass: where it would choose another token, and how its predictions differ.

Up to the first divergence, the reader has read exactly what it would have written with the same noise. So one pass
finds the first divergence of free running without running free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.rollout.writing import Float32, Float64, Rollout
from bitwright.measure.scoring import scored_logits
from bitwright.measure.softmax import log_probabilities, negative_log_likelihoods, normalizer
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine, Session


@dataclass(frozen=True)
class Reading:
    """A rollout read by a model. For each step (steps,): `leads` of the rollout's token over the best other token,
    which is in `others`; `losses`, the token's negative log-likelihood in nats; and `divergences`, KL(writer || reader)
    in nats, if the rollout kept the writer's predictions."""

    rollout: Rollout
    leads: Float64 = field(repr=False)
    others: NDArray[np.int32] = field(repr=False)
    losses: Float64 = field(repr=False)
    divergences: Float64 | None = field(default=None, repr=False)

    @property
    def chosen(self) -> NDArray[np.int32]:
        """What the reader would have written at each step (steps,); ties go to the lower token id, as in argmax."""
        ahead = (self.leads > 0) | ((self.leads == 0) & (self.rollout.tokens < self.others))
        return np.where(ahead, self.rollout.tokens, self.others)

    @property
    def first_divergence(self) -> int | None:
        """The first step, counted from 1, at which the reader would have written something else."""
        differs = self.chosen != self.rollout.tokens
        return int(differs.argmax()) + 1 if differs.any() else None


def predicting(session: Session, rollout: Rollout) -> Iterator[tuple[int, Float32]]:
    """The logits that predict a rollout's tokens, read in one pass from a reset session, slice by slice: (first step,
    logits (n, vocabulary))."""
    start = 0
    for logits, _ in scored_logits(session, rollout.ids, len(rollout.prompt.ids) - 1):
        yield start, logits
        start += len(logits)


def read(session: Session, rollout: Rollout, rounded: bool = False) -> Reading:
    """Read a rollout in one pass, with divergences if the writer's predictions were kept. `rounded` rounds the
    reader's log-probabilities to 16 bits."""
    n = len(rollout)
    leads, losses, others = np.empty(n), np.empty(n), np.empty(n, np.int32)
    divergences = np.empty(n) if rollout.predictions else None
    for start, logits in predicting(session, rollout):
        if rounded:
            logits = np.array([log_probabilities(row).astype(np.float16).astype(np.float32) for row in logits])
        for step, row in enumerate(logits, start):
            token = rollout.tokens[step]
            leads[step], others[step] = rollout.chooser.lead(row, token, rollout.number, step)
            peak, log_sum = normalizer(row)
            losses[step] = log_sum - (float(row[token]) - peak)
        if divergences is not None and rollout.predictions is not None:
            part = slice(start, start + len(logits))
            divergences[part] = rollout.predictions[part].divergence(logits)[0]
    return Reading(rollout, leads, others, losses, divergences)


def read_all(
    engine: Engine, rollouts: Sequence[Rollout], progress: Progress | None = None, rounded: bool = False
) -> list[Reading]:
    """Read every rollout."""
    session, found = engine.session(), []
    for rollout in rollouts:
        found.append(read(session, rollout, rounded))
        if progress:
            progress(len(found), len(rollouts), "")
    return found


def divergence(logits: Float32, others: Float32) -> float:
    """KL(softmax(logits) || softmax(others)) in nats, of two rows (vocabulary,)."""
    log_p, log_q = log_probabilities(logits), log_probabilities(others)
    likely = log_p > -np.inf
    return float(np.exp(log_p[likely]) @ (log_p - log_q)[likely])


def divergences(reference: Session, candidate: Session, rollout: Rollout) -> tuple[Float64, Float64]:
    """The exact KL(reference || candidate) in nats at each step (steps,) of a rollout that either model wrote, and the
    reference's negative log-likelihoods of its tokens (steps,)."""
    found, losses = [], []
    for (start, ours), (_, theirs) in zip(predicting(reference, rollout), predicting(candidate, rollout), strict=True):
        found += [divergence(p, q) for p, q in zip(ours, theirs, strict=True)]
        losses.append(negative_log_likelihoods(ours, rollout.tokens[start : start + len(ours)]))
    return np.array(found), np.concatenate(losses)
