"""What only a candidate's own texts show: whether errors feed on themselves, how texts end, how good its plans are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bitwright.engine import Engine, text_of
from bitwright.measure.rollout import planner, writing
from bitwright.measure.rollout.baseline import Baseline
from bitwright.measure.rollout.endings import Endings, endings
from bitwright.measure.rollout.horizon import Growth, clusters_of, divergences_of, growth, padded
from bitwright.measure.rollout.planner import Planning
from bitwright.measure.rollout.reading import Reading, divergences
from bitwright.measure.rollout.writing import GREEDY, Chooser, Float64, Rollout
from bitwright.model.tokenizer import Tokenizer
from bitwright.progress import Stages

EXAMPLES, AROUND = 3, 24  # divergences shown, and tokens shown on either side of each


@dataclass(frozen=True)
class Verification:
    """Of `rollouts` run free, the `exceptions` whose first divergence differs from the one found in one pass over the
    reference's text: (rollout, step by one pass, step by running free), None for never."""

    rollouts: int
    exceptions: list[tuple[int, int | None, int | None]]


@dataclass(frozen=True)
class Example:
    """A first divergence: the text before it, and what each model writes from there on."""

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


def measure_free_running(
    base: Baseline, candidate: Engine, greedy: Sequence[Reading], along: Float64, stages: Stages
) -> FreeRunning:
    """Let a candidate write from the baseline's prompts. `greedy`: its readings of the reference's greedy texts;
    `along`: its divergences (rollouts, steps) along the reference's samples."""
    own = writing.write(candidate, base.prompts, base.steps, GREEDY, progress=stages.next("writing"))
    chooser = Chooser(1.0, base.seed)
    samples = writing.write(candidate, base.prompts, base.steps, chooser, progress=stages.next("writing samples"))
    ours, theirs, report = base.engine.session(), candidate.session(), stages.next("reference reads them")
    rows, losses, clusters = [], [], clusters_of(samples)
    for rollout in samples:
        row, read = divergences(ours, theirs, rollout)
        rows.append(row)
        losses.append(read)
        report(len(rows), len(samples), "")
    floor = divergences_of(base.sampled.floor, base.steps)
    judged = [rollout.losses for rollout in base.sampled.rollouts]
    return FreeRunning(
        growth(along, padded(rows, base.steps), floor, clusters),
        endings(own, base.greedy.rollouts),
        endings(samples, base.sampled.rollouts),
        verify(greedy, own),
        [example(r, own[r.rollout.number], candidate.tokenizer) for r in greedy if r.first_divergence][:EXAMPLES],
        planner.judged(padded(losses, base.steps), padded(judged, base.steps), clusters),
    )


def verify(readings: Sequence[Reading], own: Sequence[Rollout]) -> Verification:
    """Compare first divergences found in one pass with those in the candidate's own texts."""
    exceptions = []
    for reading, rollout in zip(readings, own, strict=True):
        predicted, found = reading.first_divergence, parting(reading.rollout, rollout)
        if predicted != found:
            exceptions.append((rollout.number, predicted, found))
    return Verification(len(own), exceptions)


def parting(a: Rollout, b: Rollout) -> int | None:
    """The first step, counted from 1, at which two rollouts differ."""
    both = min(len(a), len(b))
    differs = a.tokens[:both] != b.tokens[:both]
    return int(differs.argmax()) + 1 if differs.any() else None if len(a) == len(b) else both + 1


def example(reading: Reading, own: Rollout, tokenizer: Tokenizer) -> Example:
    """Both texts around the first divergence of `reading`."""
    rollout, step = reading.rollout, reading.first_divergence
    assert step is not None
    at = len(rollout.prompt.ids) + step - 1
    pieces = rollout.ids[max(0, at - AROUND) : at], rollout.ids[at : at + AROUND], own.ids[at : at + AROUND]
    return Example(step, *("".join(text_of(ids.tolist(), tokenizer)) for ids in pieces))
