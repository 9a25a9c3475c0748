"""How errors compound over many steps: everything that `measures` knows, measured on two models.

What needs the reference alone (its texts and its floor) is a Baseline, made once for all candidates.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bitwright import kernels
from bitwright.engine import Model, text_of
from bitwright.errors import UsageError
from bitwright.measure import windows
from bitwright.measure.rollout import history, horizon, paths, planner
from bitwright.measure.rollout.horizon import (
    Endings,
    FirstDivergence,
    Growth,
    LocalShare,
    SequenceDivergence,
    clusters_of,
    padded,
)
from bitwright.measure.rollout.paths import GREEDY, Chooser, Path, Prompt, Reading
from bitwright.measure.rollout.planner import Planning
from bitwright.measure.stages import Stages
from bitwright.statistics.bootstrap import FEWEST

if TYPE_CHECKING:
    from bitwright.measure.perplexity import Progress
    from bitwright.model.tokenizer import Tokenizer

PROMPTS, PROMPT_TOKENS, STEPS = 32, 64, 128
SUITES = {"quick": (16, 64), "full": (48, 128)}  # prompts, steps; the full suite lets candidates write, too
EXAMPLES, AROUND = 3, 24  # divergences that are shown, and the tokens shown on either side of them


def prompts_of(tokenizer: Tokenizer, text: str, count: int = PROMPTS, length: int = PROMPT_TOKENS) -> list[Prompt]:
    """`count` beginnings of `length` tokens, spread evenly over a text; UsageError where it is too short for one.

    Where they stand in fewer documents than error bars need, each prompt counts as one.
    """
    cut = windows.cut(tokenizer, text, length, count, spread_out=True)
    documents = cut.documents[:, -1] if len(np.unique(cut.documents[:, -1])) >= FEWEST else np.arange(len(cut))
    return [Prompt(ids, int(document)) for ids, document in zip(cut.ids, documents, strict=True)]


@dataclass(frozen=True)
class Texts:
    """What the reference wrote, and how it reads that when computed `otherwise`: its noise `floor`."""

    paths: list[Path]
    floor: list[Reading]


@dataclass(frozen=True)
class Baseline:
    """A reference's texts of up to `steps` tokens from the same prompts: the likeliest, and samples (temperature 1).

    `floor`: what made the noise floor.
    """

    model: Model
    floor: str
    steps: int
    seed: int
    greedy: Texts = field(repr=False)
    sampled: Texts = field(repr=False)

    @property
    def prompts(self) -> list[Prompt]:
        return [path.prompt for path in self.greedy.paths]


@dataclass(frozen=True)
class Verification:
    """Of `paths` run free, the `exceptions` that do not part at the token that the one pass over the reference's text
    said: (path, step by one pass, step by running free), None for never."""

    paths: int
    exceptions: list[tuple[int, int | None, int | None]]


@dataclass(frozen=True)
class Example:
    """Where a candidate parts from the reference: the text before, and what each writes from there on."""

    step: int
    before: str
    reference: str
    candidate: str


@dataclass(frozen=True)
class FreeRunning:
    """What only a candidate's own texts show."""

    growth: list[Growth]
    endings: Endings
    sampled_endings: Endings
    verification: Verification
    examples: list[Example]
    planning: Planning


@dataclass(frozen=True)
class Compounding:
    """What was measured over texts of up to `steps` tokens from so many `prompts`, in `clusters` documents.

    `free` and `local` are None where they were not asked for, `local` also where the memories are not alike.
    """

    steps: int
    prompts: int
    clusters: int
    seed: int
    floor: str
    first_divergence: FirstDivergence
    sampled_first_divergence: FirstDivergence
    sequence: SequenceDivergence
    free: FreeRunning | None
    local: list[LocalShare] | None


def baseline(
    reference: Model, prompts: Sequence[Prompt], steps: int = STEPS, seed: int = 0, progress: Progress | None = None
) -> Baseline:
    """Let the reference write. UsageError where there are no prompts or they do not fit its context."""
    if not prompts:
        raise UsageError("at least one prompt is needed")
    reference = paths.fitted(reference, max(len(prompt.ids) for prompt in prompts) + steps)
    stages, other = Stages(progress, 4), otherwise(reference)

    def texts(chooser: Chooser) -> Texts:
        written = paths.write(reference, prompts, steps, chooser, keep=True, progress=stages.next("reference writes"))
        return Texts(written, paths.read_all(other, written, stages.next("its noise floor"), rounded=True))

    tier = f"tier {other.tier} and " if other.tier != reference.tier else ""
    floor = f"{tier}log-probabilities in 16 bits"
    return Baseline(reference, floor, steps, seed, texts(GREEDY), texts(Chooser(1.0, seed)))


def otherwise(model: Model) -> Model:
    """The same model as it would be computed on another machine: by another instruction set, where this one has two
    (but for plain C++, which takes fifty times as long). Other thread counts and batches give the same bits here."""
    tiers = [tier for tier in kernels.tiers() if tier not in (model.tier, "scalar")]
    same = copy.copy(model)
    same.forced_tier = tiers[0] if tiers else model.forced_tier
    return same


def measure(
    base: Baseline, candidate: Model, free: bool = True, local: bool = True, progress: Progress | None = None
) -> Compounding:
    """Everything about a candidate. `free`: let it write too; `local`: run it on the reference's memory as well.

    UsageError where it has another vocabulary or the texts do not fit its context.
    """
    _check(base, candidate)
    candidate = paths.fitted(candidate, base.model.context)
    local = local and history.alike(base.model, candidate)
    stages = Stages(progress, 2 + 3 * free + local)
    greedy = paths.read_all(candidate, base.greedy.paths, stages.next("reading"))
    sampled = paths.read_all(candidate, base.sampled.paths, stages.next("reading samples"))
    clusters = clusters_of(base.sampled.paths)
    along = _divergences(sampled, base.steps)
    return Compounding(
        steps=base.steps,
        prompts=len(base.prompts),
        clusters=len(np.unique(clusters)),
        seed=base.seed,
        floor=base.floor,
        first_divergence=horizon.first_divergence(greedy, base.greedy.floor, base.steps),
        sampled_first_divergence=horizon.first_divergence(sampled, base.sampled.floor, base.steps),
        sequence=horizon.sequence_divergence(along, clusters),
        free=_run_free(base, candidate, greedy, along, stages) if free else None,
        local=_local(base, candidate, along, stages.next("on the reference's memory")) if local else None,
    )


def _check(base: Baseline, candidate: Model) -> None:
    own, expected = candidate.config.vocabulary, base.model.config.vocabulary
    if own != expected:
        raise UsageError(
            f"{candidate.path.name} has a vocabulary of {own}, the reference one of {expected}: only models that share "
            "a tokenizer can read each other's texts token by token"
        )


def _divergences(readings: Sequence[Reading], steps: int) -> horizon.Float64:
    return padded([r.divergences for r in readings if r.divergences is not None], steps)


def _run_free(
    base: Baseline, candidate: Model, greedy: Sequence[Reading], along: horizon.Float64, stages: Stages
) -> FreeRunning:
    own = paths.write(candidate, base.prompts, base.steps, GREEDY, progress=stages.next("writing"))
    chooser = Chooser(1.0, base.seed)
    samples = paths.write(candidate, base.prompts, base.steps, chooser, progress=stages.next("writing samples"))
    ours, theirs, report = base.model.session(), candidate.session(), stages.next("reference reads them")
    rows, losses, clusters = [], [], clusters_of(samples)
    for path in samples:
        divergences, read = paths.divergences(ours, theirs, path)
        rows.append(divergences)
        losses.append(read)
        report(len(rows), len(samples), "")
    floor, judged = _divergences(base.sampled.floor, base.steps), [path.losses for path in base.sampled.paths]
    return FreeRunning(
        horizon.growth(along, padded(rows, base.steps), floor, clusters),
        horizon.endings(own, base.greedy.paths),
        horizon.endings(samples, base.sampled.paths),
        verify(greedy, own),
        [example(r, own[r.path.number], candidate.tokenizer) for r in greedy if r.first_divergence][:EXAMPLES],
        planner.judged(padded(losses, base.steps), padded(judged, base.steps), clusters),
    )


def verify(readings: Sequence[Reading], own: Sequence[Path]) -> Verification:
    """First divergence by one pass beside that of texts that the candidate wrote itself."""
    exceptions = []
    for reading, path in zip(readings, own, strict=True):
        predicted, found = reading.first_divergence, parting(reading.path, path)
        if predicted != found:
            exceptions.append((path.number, predicted, found))
    return Verification(len(own), exceptions)


def parting(a: Path, b: Path) -> int | None:
    """The first step, counted from 1, at which two paths differ."""
    both = min(len(a), len(b))
    differs = a.tokens[:both] != b.tokens[:both]
    return int(differs.argmax()) + 1 if differs.any() else None if len(a) == len(b) else both + 1


def example(reading: Reading, own: Path, tokenizer: Tokenizer) -> Example:
    """Both texts around the first divergence of `reading`."""
    path, step = reading.path, reading.first_divergence
    assert step is not None
    at = len(path.prompt.ids) + step - 1
    pieces = path.ids[max(0, at - AROUND) : at], path.ids[at : at + AROUND], own.ids[at : at + AROUND]
    return Example(step, *("".join(text_of(ids.tolist(), tokenizer)) for ids in pieces))


def _local(base: Baseline, candidate: Model, along: horizon.Float64, progress: Progress) -> list[LocalShare]:
    written = base.sampled.paths
    rows = history.divergences_on_the_references_history(base.model, candidate, written, progress)
    return horizon.local_shares(along, padded(rows, base.steps), clusters_of(written))
