"""How much of a divergence comes from a single step, and how much has accumulated in the key-value cache.

A token is predicted from the keys and values of all tokens before it, and each of the candidate's is slightly wrong.
If the candidate reads the reference's keys and values for all tokens but the current one, the remaining divergence is
the error of that single step. The rest had accumulated in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bitwright.measure.rollout.reading import divergence
from bitwright.measure.rollout.writing import Float64, Rollout
from bitwright.measure.together import TOGETHER
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine, Session


def alike(reference: Engine, candidate: Engine) -> bool:
    """Whether one model can use the other's keys and values: same architecture, layers, heads, windows and cache."""
    a, b = reference.config, candidate.config
    same = (a.architecture, a.layers) == (b.architecture, b.layers)
    return same and (reference.options.kv, reference.context) == (candidate.options.kv, candidate.context)


def divergences_on_reference_history(
    reference: Engine, candidate: Engine, rollouts: Sequence[Rollout], progress: Progress | None = None
) -> list[Float64]:
    """KL(reference || candidate) in nats at each step (steps,) of every rollout, with the reference's keys and values
    of all earlier tokens in the candidate's cache. UsageError if the caches are not `alike`."""
    together = min(TOGETHER, len(rollouts))
    ours, theirs = reference.session(together), candidate.session(together)
    found: list[Float64] = []
    for start in range(0, len(rollouts), together):
        found += _step_by_step(ours, theirs, rollouts[start : start + together])
        if progress:
            progress(len(found), len(rollouts), "the reference's history")
    return found


def _step_by_step(ours: Session, theirs: Session, rollouts: Sequence[Rollout]) -> list[Float64]:
    """One rollout per sequence: both models read each token, then the candidate adopts the reference's cache."""
    found = [np.empty(len(rollout)) for rollout in rollouts]
    for slot, rollout in enumerate(rollouts):
        for session in (ours, theirs):
            session.reset(sequence=slot)
        ours.extend(rollout.prompt.ids[:-1], [], slot)
        theirs.adopt(ours, slot)
    read = [np.concatenate([rollout.prompt.ids[-1:], rollout.tokens[:-1]]) for rollout in rollouts]
    for step in range(max(map(len, rollouts))):
        feed = {slot: tokens[step : step + 1] for slot, tokens in enumerate(read) if step < len(tokens)}
        for slot, p, q in zip(feed, ours.advance(feed), theirs.advance(feed), strict=True):
            found[slot][step] = divergence(p, q)
            theirs.adopt(ours, slot, keep=ours.positions[slot] - 1)
    return found
