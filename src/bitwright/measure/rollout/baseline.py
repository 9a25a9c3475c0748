"""A reference's continuations of a set of prompts, with its noise floor; made once for all candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bitwright import kernels
from bitwright.engine import Engine
from bitwright.errors import UsageError
from bitwright.measure import windows
from bitwright.measure.rollout import reading, writing
from bitwright.measure.rollout.reading import Reading
from bitwright.measure.rollout.writing import GREEDY, Chooser, Prompt, Rollout
from bitwright.progress import Stages
from bitwright.statistics.interval import FEWEST

if TYPE_CHECKING:
    from bitwright.model.tokenizer import Tokenizer
    from bitwright.progress import Progress

PROMPTS, PROMPT_TOKENS, STEPS = 32, 64, 128
SUITES = {"quick": (16, 64), "full": (48, 128)}  # prompts, steps; in the full suite, candidates write too


def prompts_of(tokenizer: Tokenizer, text: str, count: int = PROMPTS, length: int = PROMPT_TOKENS) -> list[Prompt]:
    """`count` prompts of `length` tokens, spread evenly over a text; UsageError if it is too short for one.

    If they come from fewer documents than an interval needs, each prompt counts as a document.
    """
    cut = windows.cut(tokenizer, text, length, count, spread_out=True)
    documents = cut.documents[:, -1] if len(np.unique(cut.documents[:, -1])) >= FEWEST else np.arange(len(cut))
    return [Prompt(ids, int(document)) for ids, document in zip(cut.ids, documents, strict=True)]


@dataclass(frozen=True)
class Texts:
    """What the reference wrote, and its noise `floor`: how the reference reads it when computed `otherwise`."""

    rollouts: list[Rollout]
    floor: list[Reading]


@dataclass(frozen=True)
class Baseline:
    """A reference's texts of up to `steps` tokens from the same prompts: greedy, and sampled at temperature 1.

    `floor` describes what the noise floor was measured with.
    """

    engine: Engine
    floor: str
    steps: int
    seed: int
    greedy: Texts = field(repr=False)
    sampled: Texts = field(repr=False)

    @property
    def prompts(self) -> list[Prompt]:
        """The prompts that the reference continued."""
        return [rollout.prompt for rollout in self.greedy.rollouts]


def baseline(
    reference: Engine, prompts: Sequence[Prompt], steps: int = STEPS, seed: int = 0, progress: Progress | None = None
) -> Baseline:
    """Let the reference write. UsageError if there are no prompts or they do not fit its context."""
    if not prompts:
        raise UsageError("at least one prompt is needed")
    reference = writing.fitted(reference, max(len(prompt.ids) for prompt in prompts) + steps)
    stages, other = Stages(progress, 4), otherwise(reference)

    def texts(chooser: Chooser) -> Texts:
        written = writing.write(reference, prompts, steps, chooser, keep=True, progress=stages.next("reference writes"))
        return Texts(written, reading.read_all(other, written, stages.next("its noise floor"), rounded=True))

    tier = f"tier {other.tier} and " if other.tier != reference.tier else ""
    floor = f"{tier}log-probabilities in 16 bits"
    return Baseline(reference, floor, steps, seed, texts(GREEDY), texts(Chooser(1.0, seed)))


def otherwise(engine: Engine) -> Engine:
    """The same model in another tier, as another machine might compute it, if this machine has two tiers besides scalar
    (which takes fifty times as long). Other thread counts and batches give the same bits."""
    tiers = [tier for tier in kernels.tiers() if tier not in (engine.tier, "scalar")]
    return engine.replace(tier=tiers[0]) if tiers else engine
