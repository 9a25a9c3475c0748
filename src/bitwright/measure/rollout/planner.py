"""A planner proposes how a text continues; a judge compares that with its own proposal k steps later.

Both proposals are sampled with the same noise, and both are scored by the judge's log-likelihood. Of the planner's
proposals that looked as likely as the judge's at the first step, some turn out worse after k steps, some better. If the
planner were as good as the judge, the two would be exchangeable and `excess`, the share of worse ones minus that of
better ones, would be zero: anything above it is bad judgement that the first step did not show. Any two models can be
compared: a planner with another tokenizer is read as the text it wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.rollout import horizon, reading, writing
from bitwright.measure.rollout.writing import Chooser, Float64, Prompt, Rollout
from bitwright.progress import Stages
from bitwright.statistics import percentile
from bitwright.statistics.interval import Interval

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.progress import Progress

TOLERANCE = 0.1  # nats within which two proposals look equally likely


@dataclass(frozen=True)
class Foresight:
    """After `step` tokens: shares of proposals that are worse or better than the judge's by more than the
    tolerance, `excess` of worse over better, and `regret`, the mean loss of log-likelihood in nats."""

    step: int
    worse: Interval
    better: Interval
    excess: Interval
    regret: Interval


@dataclass(frozen=True)
class Planning:
    """`alike` of `proposals` looked as likely as the judge's at the first step; `rows` describe these."""

    proposals: int
    alike: int
    rows: list[Foresight]


def measure_planning(
    judge: Engine,
    planner: Engine,
    own: Sequence[Rollout],
    proposals: Sequence[Rollout] | None = None,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Planning:
    """`own`: samples that the judge wrote; `proposals`: what the planner wrote from the same prompts with the same
    noise, written here if not given. Proposals of an unrelated model seldom look equally likely within a small
    `tolerance` (nats)."""
    stages = Stages(progress, 2)
    steps = max(map(len, own))
    same = planner.config.vocabulary == judge.config.vocabulary
    if proposals is None:
        prompts = [rollout.prompt if same else translated(rollout.prompt, judge, planner) for rollout in own]
        proposals = writing.write(planner, prompts, steps, own[0].chooser, progress=stages.next("proposing"))
    if not same:
        proposals = [retold(p, planner, judge, mine.prompt, steps) for p, mine in zip(proposals, own, strict=True)]
    readings = reading.read_all(judge, [p for p in proposals if len(p)], stages.next("judging"))
    losses = {reading.rollout.number: reading.losses for reading in readings}
    theirs = horizon.padded([losses.get(rollout.number, np.zeros(0)) for rollout in proposals], steps)
    losses_of_own = horizon.padded([rollout.losses for rollout in own], steps)
    return judged(theirs, losses_of_own, horizon.clusters_of(own), tolerance)


def judged(theirs: Float64, own: Float64, clusters: NDArray[np.int64], tolerance: float = TOLERANCE) -> Planning:
    """From the judge's negative log-likelihoods (proposals, steps) of the planner's and its own proposals."""
    alike = np.abs(theirs[:, 0] - own[:, 0]) <= tolerance  # in either direction, because early luck does not last
    behind = np.cumsum(np.nan_to_num(theirs), 1) - np.cumsum(np.nan_to_num(own), 1)
    rows = []
    steps = theirs.shape[1]
    for step in dict.fromkeys([*(1 << k for k in range(steps.bit_length()) if 1 << k <= steps), steps]):
        regret = behind[:, step - 1]
        worse, better = alike & (regret > tolerance), alike & (regret < -tolerance)
        parts = worse, better, worse.astype(float) - better, np.where(alike, regret, 0)
        rows.append(Foresight(step, *(percentile.ratio(part, alike, clusters) for part in parts)))
    return Planning(len(alike), int(alike.sum()), rows)


def translated(prompt: Prompt, judge: Engine, planner: Engine) -> Prompt:
    """A prompt in the planner's tokens."""
    text = judge.tokenizer.decode([int(id) for id in prompt.ids], skip_special=True)
    return Prompt(np.array(planner.tokenizer.encode(text), np.int32), prompt.document)


def retold(rollout: Rollout, planner: Engine, judge: Engine, prompt: Prompt, steps: int) -> Rollout:
    """What the planner wrote as at most `steps` of the judge's tokens, with the judge's end of text if it ended."""
    from bitwright.engine import text_of

    written = rollout.tokens[:-1] if rollout.ended else rollout.tokens
    text = "".join(text_of(written.tolist(), planner.tokenizer))
    ids = judge.tokenizer.encode(text, add_special_tokens=False) if text else []
    if rollout.ended and judge.tokenizer.eos is not None:
        ids.append(judge.tokenizer.eos)
    tokens = np.array(ids[:steps], np.int32)
    zeros = np.zeros(len(tokens))
    return Rollout(rollout.number, prompt, Chooser(), tokens, rollout.ended, zeros, zeros)
