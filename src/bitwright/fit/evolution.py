"""The search over whole candidates: EvoPress from a good start, with races and a surrogate.

A generation proposes candidates within the budget, races them against the incumbent (`race`), and the best of those
that finish replaces it if a paired test agrees, and a second one on chunks that no race reads (`guard`). So the
incumbent never gets worse (elitism), no candidate is raced twice, and the mean over the chunks only falls. From the
races, and never from the chunks set apart, the surrogate learns where
the additive model is wrong. Draws from it are optimized, which gives steps of every size, and of all proposals the
candidates of greatest expected improvement race, beside a random switch or two.

Everything follows from the seed: a generation's random numbers from the seed and its number, its proposals from the
history. The same scores give the same history, also after a killed search has resumed, on machines whose NumPy rounds
alike. A limit of time only ends the same sequence earlier or later.

With `Search.published`, it goes the way of EvoPress (Sieberling et al., arXiv 2410.14649): random switches alone, a
fixed number of survivors at each look, and the best mean wins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.fit import guard
from bitwright.fit.choices import Choices, Levels, Scorer
from bitwright.fit.history import History, Tried, decoded, encoded
from bitwright.fit.learning import Proposal, propose
from bitwright.fit.proposals import Proposer, proposer
from bitwright.fit.race import Race, looks
from bitwright.kernels.sharing import single_blas
from bitwright.progress import Progress
from bitwright.statistics import student, studentized

Float64 = NDArray[np.float64]

ENOUGH = 32  # candidates before a search may end because nothing is expected
LIMITS = {"evaluations", "seconds", "expected", "generations"}  # which end a search, and change nothing else
PATIENCE = 3  # generations in a row without expectations that end a search


@dataclass(frozen=True)
class Search:
    """How to search.

    evaluations: chunks to score, of all candidates together; None: no limit. seconds: from the start of this run; no
    generation begins that would end later if it took as long as the longest of this run, or `expected` seconds if it is
    the first. generations: at most. offspring: candidates in a generation. first: chunks before the first look of a
    race. share: one in so many goes on after a look. rate: the probability that a race drops a candidate that is no
    worse than the incumbent. accept: the p value at which the winner of a race goes on to the guard; 0.5 lets any go
    that has a better mean. apart: the share of the chunks, the last ones, that only the guard reads; 0: no guard.
    guard: the probability that a search in which nothing is better than its start ends elsewhere. least: the expected
    improvement, relative to the incumbent's objective, that is worth a generation. surrogate: propose and rank by it.
    """

    evaluations: int | None = None
    seconds: float | None = None
    expected: float = 0.0
    generations: int | None = None
    offspring: int = 8
    first: int = 4
    share: int = 2
    rate: float = 0.05
    accept: float = 0.1
    apart: float = 0.5
    guard: float = 0.05
    least: float = 1e-4
    surrogate: bool = True

    @classmethod
    def published(cls, **changed: Any) -> Search:
        """In the manner of EvoPress: no surrogate, no test, many offspring of which few survive the first look."""
        own = {"surrogate": False, "rate": 0.0, "accept": 0.5, "apart": 0.0, "offspring": 32, "share": 8}
        return cls(**{**own, **changed})


def evolve(
    choices: Choices,
    scorer: Scorer,
    start: Levels,
    budget: int,
    seed: int = 0,
    search: Search | None = None,
    history: Mapping[str, Any] | None = None,
    checkpoint: Callable[[History], object] | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> History:
    """Search from `start` for the candidate of at most `budget` bytes with the least objective.

    `history` is the JSON data of a search to resume, `checkpoint` is called with the history whenever something was
    scored. The start is kept if too few chunks are left for a guard. UsageError if `start` is over the budget, there
    are fewer than 2 chunks, or the history belongs to another search.
    """
    return _Evolution(
        choices, scorer, start, budget, seed, search or Search(), history, checkpoint, progress, clock
    ).run()


class _Evolution:
    """A search in progress."""

    def __init__(
        self,
        choices: Choices,
        scorer: Scorer,
        start: Levels,
        budget: int,
        seed: int,
        search: Search,
        history: Mapping[str, Any] | None,
        checkpoint: Callable[[History], object] | None,
        progress: Progress | None,
        clock: Callable[[], float],
    ) -> None:
        if (size := choices.bytes_of(start)) > budget:
            raise UsageError(f"expected a start of at most {budget:,} bytes, got one of {size:,}")
        if scorer.chunks < 2:
            raise UsageError(f"expected a search text of at least 2 chunks, got {scorer.chunks}")
        self.choices, self.scorer, self.seed, self.search = choices, scorer, seed, search
        self.within: Proposer = proposer(choices, budget)
        how = {key: value for key, value in asdict(search).items() if key not in LIMITS}
        task = {"start": encoded(start), "budget": budget, "seed": seed, "chunks": scorer.chunks, **how}
        self.history = History(task) if history is None else History.from_json(history, task)
        self._known = {(levels, chunk): score for levels, chunk, score in self.history.pending}
        self._pending: list[tuple[str, int, float]] = []
        self._checkpoint, self._progress, self._clock = checkpoint, progress, clock
        self._begun, self._longest = clock(), 0.0
        apart = int(search.apart * scorer.chunks)
        self.raced, self.apart = range(scorer.chunks - apart), range(scorer.chunks - apart, scorer.chunks)
        at = looks(len(self.raced), search.first)
        keep = [max(1, search.offspring // search.share ** (n + 1)) for n in range(len(at) - 1)]
        self.race = Race(at, (*keep, search.offspring), search.rate)

    def run(self) -> History:
        """All generations."""
        if not self.history.tried:
            self._measure_start()
        while not self._over():
            begun = self._clock()
            self._generation()
            self._longest = max(self._longest, self._clock() - begun)
        return self.history

    def _over(self) -> bool:
        """Whether a limit is reached, or nothing more is expected."""
        done, search = self.history, self.search
        coming = self._longest or search.expected
        return (
            (search.evaluations is not None and done.evaluations >= search.evaluations)
            or (search.generations is not None and done.generation >= search.generations)
            or (search.seconds is not None and self._clock() - self._begun + coming >= search.seconds)
            or done.idle >= PATIENCE
            or (search.apart > 0 and len(self.apart) < guard.FEWEST)
        )

    def _measure_start(self) -> None:
        """The start is the first incumbent, measured on all chunks."""
        start, chunks = decoded(self.history.task["start"]), list(range(self.scorer.chunks))
        self._tell("the seed", 0, len(chunks))
        scores, raced = self._score([start], chunks, start)[0].tolist(), len(self.raced)
        first = Tried(encoded(start), 0, "seed", 0, None, chunks[:raced], scores[:raced], "seed", scores[raced:])
        self._complete(0, [first], 0)

    def _generation(self) -> None:
        """Propose, race, and accept the winner if it is better."""
        history, number = self.history, self.history.generation + 1
        random = np.random.default_rng([self.seed, number])
        order = random.permutation(len(self.raced)).tolist()
        incumbent, scores = history.incumbent, history.scores(history.best)
        with single_blas():
            proposals = propose(self.within, history, random, self.search.offspring, self.search.surrogate)

        def score(candidates: Sequence[Levels], chunks: Sequence[int]) -> Float64:
            self._tell(f"generation {number}", len(candidates), len(chunks))
            return self._score(candidates, chunks, incumbent)

        runners = self.race.run([p.levels for p in proposals], order, scores[order], score)
        tried = [
            Tried(encoded(p.levels), history.best, p.origin, number, p.gain, order[: len(runner.scores)],
                  runner.scores, "worse" if runner.worse else "behind" if runner.left else "not better")
            for runner, p in zip(runners, proposals, strict=True)
        ]  # fmt: skip
        finished = [n for n, runner in enumerate(runners) if not runner.left]
        best = min(finished, key=lambda n: sum(tried[n].scores), default=None)
        if best is not None and student.mean_above(scores[order] - tried[best].scores) < self.search.accept:
            tried[best].outcome = self._guarded(tried[best])
        self._complete(number, tried, history.idle + 1 if self._idle(proposals) else 0)

    def _guarded(self, winner: Tried) -> str:
        """What becomes of the winner of a race, after it has met the guard."""
        if not self.apart:
            return "accepted"
        self._tell("the winner, on text set apart", 1, len(self.apart))
        winner.apart = self._score([decoded(winner.levels)], self.apart, self.history.incumbent)[0].tolist()
        gains = np.array(self.history.tried[self.history.best].apart) - winner.apart
        test = 1 + sum(bool(one.apart) for one in self.history.tried[1:])
        return "accepted" if guard.passed(gains, self.search.guard, test) else "not confirmed"

    def _idle(self, proposals: Sequence[Proposal]) -> bool:
        """Whether nothing is left to try, or what was learned promises less than is worth a generation."""
        expected = [p.expected for p in proposals if p.expected is not None]
        if not proposals:
            return True
        if len(expected) < len(proposals) or len(self.history.tried) < ENOUGH:
            return False
        worth = self.search.least * abs(float(self.history.scores(self.history.best).mean()))
        return max(expected) < worth

    def _complete(self, number: int, tried: list[Tried], idle: int) -> None:
        """Enter a generation into the history."""
        history = self.history
        history.generation = number
        for one in tried:
            history.evaluations += len(one.scores) + len(one.apart)
            if one.outcome == "accepted":
                history.best = len(history.tried)
            history.tried.append(one)
        history.idle = idle
        history.pending, self._pending = [], []
        self._known.clear()
        if self._checkpoint:
            self._checkpoint(history)

    def _score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> Float64:
        """The scores (candidates, chunks), which a resumed search may know already."""
        names = [encoded(levels) for levels in candidates]
        unknown = [n for n, name in enumerate(names) if any((name, chunk) not in self._known for chunk in chunks)]
        if unknown:
            found = self.scorer.score([candidates[n] for n in unknown], chunks, parent)
            for n, row in zip(unknown, found.tolist(), strict=True):
                self._known.update({(names[n], chunk): score for chunk, score in zip(chunks, row, strict=True)})
        scores = [[self._known[name, chunk] for chunk in chunks] for name in names]
        for name, row in zip(names, scores, strict=True):
            self._pending += [(name, chunk, score) for chunk, score in zip(chunks, row, strict=True)]
        self.history.pending = list(self._pending)
        if unknown and self._checkpoint:
            self._checkpoint(self.history)
        return np.array(scores)

    def _tell(self, what: str, candidates: int, chunks: int) -> None:
        """Report what is being measured and the best so far."""
        if self._progress is None:
            return
        history, search = self.history, self.search
        note = f"{what}: {candidates} candidates on {chunks} chunks" if candidates else f"{what}: {chunks} chunks"
        if history.tried:
            best, first = history.scores(history.best), history.scores(0)
            note += f"; best {studentized.mean(best, np.arange(len(best)), of='chunks')}"
            if history.best and first.mean() > 0:
                note += f", {1 - best.mean() / first.mean():.1%} below the seed"
        if search.seconds is not None:
            self._progress(self._clock() - self._begun, search.seconds, note)
        else:
            self._progress(history.evaluations + len(self._pending), search.evaluations, note)
