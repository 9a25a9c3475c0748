"""How much of a divergence is made on the spot, and how much is remembered.

A token is predicted from keys and values of all tokens before it, and those are the candidate's own: each a little
wrong. Where the candidate reads the reference's keys and values instead, all but its own token's, what is left is the
error of a single step; the rest has accumulated in its memory of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bitwright.measure.perplexity import Progress
from bitwright.measure.rollout.paths import TOGETHER, Float64, Path, divergence

if TYPE_CHECKING:
    from bitwright.engine import Model, Session


def alike(reference: Model, candidate: Model) -> bool:
    """Whether the keys and values of one can stand for the other's: the same layers, heads, windows and cache."""
    a, b = reference.config, candidate.config
    shape = ("architecture", "layers", "kv_heads", "head_dim", "windows")
    same = all(getattr(a, name) == getattr(b, name) for name in shape)
    return same and (reference.kv, reference.context) == (candidate.kv, candidate.context)


def divergences_on_the_references_history(
    reference: Model, candidate: Model, paths: Sequence[Path], progress: Progress | None = None
) -> list[Float64]:
    """KL(reference || candidate) in nats at each step (steps,) of every path, where the candidate sees the reference's
    keys and values of all earlier tokens. UsageError where the caches are not `alike`."""
    together = min(TOGETHER, len(paths))
    ours, theirs = reference.session(together), candidate.session(together)
    found: list[Float64] = []
    for start in range(0, len(paths), together):
        found += _step_by_step(ours, theirs, paths[start : start + together])
        if progress:
            progress(len(found), len(paths), "the reference's history")
    return found


def _step_by_step(ours: Session, theirs: Session, paths: Sequence[Path]) -> list[Float64]:
    """One path in each sequence; both models read each token, then the candidate takes over the reference's memory."""
    found = [np.empty(len(path)) for path in paths]
    for slot, path in enumerate(paths):
        for session in (ours, theirs):
            session.reset(sequence=slot)
        ours.extend(path.prompt.ids[:-1], [], slot)
        theirs.adopt(ours, slot)
    read = [np.concatenate([path.prompt.ids[-1:], path.tokens[:-1]]) for path in paths]
    for step in range(max(map(len, paths))):
        feed = {slot: tokens[step : step + 1] for slot, tokens in enumerate(read) if step < len(tokens)}
        for slot, p, q in zip(feed, ours.advance(feed), theirs.advance(feed), strict=True):
            found[slot][step] = divergence(p, q)
            theirs.adopt(ours, slot, keep=ours.positions[slot] - 1)
    return found
