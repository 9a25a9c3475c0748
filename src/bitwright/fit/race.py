"""A race of candidates against the incumbent: chunk by chunk on the same text, and the clearly worse leave early.

Candidates are judged at a few looks, each after more chunks. At a look, a candidate leaves if Student's paired t test
says that it is worse than the incumbent, at the level `rate` / looks.

What this promises: a candidate that is no worse than the incumbent leaves with a probability of at most `rate`, over
all looks together and for any choice of what to race next (Bonferroni's inequality needs no independence of the looks).
It holds for differences per chunk that are independent and normal, and for heavier, symmetric tails (mixtures of normal
distributions; see `statistics.student`). Chunks come in random order, so that they are a sample of the search text.
Differences of two candidates that are skewed towards the candidate's side (rarely much better, mostly a little worse)
can err more often; means over hundreds of tokens are seldom so.

A look may also keep only the best few, for lack of time. Those who leave that way are not called worse.
Group sequential tests: Jennison and Turnbull (2000), chapter 2. Racing: Maron and Moore (1994), with paired tests as
in F-Race (Birattari et al., 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitwright.fit.choices import Levels
from bitwright.statistics import student

Float64 = NDArray[np.float64]
Score = Callable[[Sequence[Levels], Sequence[int]], Float64]  # (candidates, chunks), as a Scorer with a fixed parent


@dataclass
class Runner:
    """A candidate in a race. scores: of the chunks so far. left: after how many chunks it left; 0 while it runs.
    worse: whether it left because the test says so."""

    levels: Levels
    scores: list[float] = field(default_factory=list)
    left: int = 0
    worse: bool = False


@dataclass(frozen=True)
class Race:
    """looks: chunks after which candidates are judged, rising. keep: how many go on at most after each look, by their
    mean. rate: see above."""

    looks: tuple[int, ...]
    keep: tuple[int, ...]
    rate: float = 0.05

    def run(
        self, candidates: Sequence[Levels], chunks: Sequence[int], incumbent: Float64, score: Score
    ) -> list[Runner]:
        """Race `candidates` over `chunks`, in that order, against the `incumbent`'s scores (chunks,)."""
        runners = [Runner(levels) for levels in candidates]
        done = 0
        for look, keep in zip(self.looks, self.keep, strict=True):
            running = [r for r in runners if not r.left]
            if not running:
                break
            found = score([r.levels for r in running], chunks[done:look])
            for runner, scores in zip(running, found, strict=True):
                runner.scores += scores.tolist()
                if self.is_worse(np.array(runner.scores) - incumbent[:look]):
                    runner.left, runner.worse = look, True
            ranked = sorted((r for r in running if not r.left), key=lambda r: sum(r.scores))
            for runner in ranked[keep:]:
                runner.left = look
            done = look
        return runners

    def is_worse(self, differences: Float64) -> bool:
        """Whether a candidate leaves at a look, from its scores less the incumbent's."""
        return student.mean_above(differences) < self.rate / len(self.looks)


def looks(chunks: int, first: int = 4, growth: float = 2.0) -> tuple[int, ...]:
    """Looks after `first` chunks, then after `growth` times as many each, and after all."""
    found = [min(first, chunks)]
    while found[-1] < chunks:
        found.append(min(chunks, max(found[-1] + 1, round(found[-1] * growth))))
    return tuple(found)
