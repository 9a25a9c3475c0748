"""Speculative decoding: texts are those that would have been written without it, whatever is guessed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import synthetic_model
from test_batch import Forced, run, text

from bitwright.engine import Engine, Sampler
from bitwright.engine.batch import Batch
from bitwright.engine.draft import Draft
from bitwright.engine.job import Job
from bitwright.engine.speculation import Repeats, Speculation
from bitwright.errors import BitwrightError, UsageError


class Drawn(Job):
    """A text continued by a sampler, up to `limit` tokens."""

    def __init__(self, ids: Sequence[int], limit: int, **options: float) -> None:
        super().__init__(ids)
        self.limit, self.sampler, self.drawn = limit, Sampler(**options), list[int]()  # type: ignore[arg-type]

    def next(self, logits: np.ndarray) -> int | None:
        self.drawn.append(self.sampler(logits))
        return self.drawn[-1] if len(self.drawn) < self.limit else None

    def ended(self, error: BaseException | None) -> None:
        assert error is None


class Knowing(Speculation):
    """Guesses how forced texts go on, up to `most` tokens; every `wrong`th guess is another token."""

    def __init__(self, jobs: Sequence[Forced], most: int, wrong: int) -> None:
        self.jobs, self.most, self.wrong, self.texts = jobs, most, wrong, dict[int, list[int]]()
        self.count = itertools.count(1)

    def begin(self, sequence: int, ids: Sequence[int]) -> None:
        self.texts[sequence] = list(ids)

    def wrote(self, sequence: int, id: int) -> None:
        self.texts[sequence].append(id)

    def end(self, sequence: int) -> None:
        self.texts.pop(sequence, None)

    def guess(self, room: Mapping[int, int]) -> dict[int, list[int]]:
        found = {}
        for sequence, most in room.items():
            held = self.texts[sequence]
            whole = next(all for job in self.jobs if (all := [*job.ids, *job.then, *range(99)])[: len(held)] == held)
            own = whole[len(held) :][: min(self.most, most)]
            found[sequence] = [(id + (next(self.count) % self.wrong == 0)) % synthetic_model.VOCABULARY for id in own]
        return found


def asked_always(speculation: Any) -> Any:
    """A speculation that takes guesses to cost nothing."""
    speculation.cost, speculation.drafting = lambda rows: 1.0, 0.0
    return speculation


def batch_of(engine: Engine, speculation: Speculation | None = None, parallel: int = 3) -> Batch:
    return Batch(engine.session(parallel + 9), parallel, 1 << 40, None, speculation)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
@pytest.mark.parametrize(("most", "wrong"), [(1, 2), (3, 5), (12, 7), (9, 1000)])
def test_logits_and_memory_are_those_without_guesses(
    make_long: Callable[[str], Engine], architecture: str, most: int, wrong: int
) -> None:
    """In a batch in which prompts are read meanwhile; what comes next reuses exactly what was accepted."""
    engine = make_long(architecture)
    jobs = [Forced(text(n), text(m), marks=[n]) for n, m in [(90, 40), (70, 25), (64, 63), (200, 3), (80, 0), (63, 80)]]
    batch = batch_of(engine, Knowing(jobs, most, wrong))
    run(batch, *jobs)
    for job in jobs:
        job.check(engine)
        assert len(job.seen) == len(job.then) + 1
        assert [*job.ids, *job.then] in batch.session.ids and batch.session.memory.lengths == batch.session.positions
        assert job.guessed_right > 0 or len(job.then) < 4
        again = Forced([*job.ids, *job.then, *text(4)], text(9))
        batch.speculation = Knowing([again], most, wrong)
        run(batch, again)
        again.check(engine)
        assert again.cached == len(job.ids) + len(job.then)
    assert sum(job.guessed for job in jobs) > sum(job.guessed_right for job in jobs) or wrong == 1000


def test_texts_end_within_guesses(make_long: Callable[[str], Engine]) -> None:
    """At the end of the context, by a stop of the job, by an error, by being cancelled."""

    class Failing(Forced):
        def next(self, logits: np.ndarray) -> int | None:
            if len(self.seen) == 7:
                raise BitwrightError("no token is allowed")
            return super().next(logits)

    class Leaving(Forced):
        def next(self, logits: np.ndarray) -> int | None:
            self.cancelled = len(self.seen) == 7
            return super().next(logits)

    class Stopping(Forced):
        def next(self, logits: np.ndarray) -> int | None:
            found = super().next(logits)
            return None if len(self.seen) == 8 else found

    engine = make_long("llama").replace(context=128)
    full, failing, leaving, stopping = (kind(text(118), text(30)) for kind in (Forced, Failing, Leaving, Stopping))
    jobs = [full, failing, leaving, stopping]
    for most in (4, 12):
        for job in jobs:
            job.seen, job.ends, job.cancelled, job.guessed_right = [], [], False, 0
        batch = batch_of(engine, Knowing(jobs, most, 1000), parallel=4)
        run(batch, *jobs)
        assert len(full.seen) == 11 and str(failing.ends[0]) == "no token is allowed"
        for job in (full, leaving, stopping):
            job.check(make_long("llama"))
        for job in (failing, stopping):
            assert [*job.ids, *job.then[:7]] in batch.session.ids and job.guessed_right == 6 - (most == 4)
        assert all(job.guessed_right for job in jobs) and batch.running == []


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"temperature": 0.3, "seed": 4}, {"temperature": 2, "seed": 9}]
)
def test_a_seed_gives_the_same_text_with_guesses(make_long: Callable[[str], Engine], options: dict[str, float]) -> None:
    engine = make_long("llama")
    texts = [text(40), [*text(20)] * 3, text(7)]
    found = []
    for speculation in (None, *map(asked_always, (Repeats(engine.config, 15), Draft(engine, engine, 3, 6)))):
        jobs = [Drawn(ids, 60, **options) for ids in texts]
        run(batch_of(engine, speculation), *jobs)
        found.append([job.drawn for job in jobs])
        assert (sum(job.guessed for job in jobs) > 0) == (speculation is not None)
    assert found[0] == found[1] == found[2]


def test_draws_have_the_models_distribution(make_long: Callable[[str], Engine]) -> None:
    """Chi-square of three drawn tokens against their exact probabilities, with the likeliest as a guess. The same
    draws fail against another temperature, so the test would see it."""
    engine, prompt, count = make_long("llama"), list(range(12)), 4000  # the same whatever ran before
    speculation = asked_always(Draft(engine, engine, 8, 2))
    options = {"top_k": 3, "top_p": 1, "min_p": 0}
    jobs = [Drawn(prompt, 3, temperature=1.0, seed=seed, **options) for seed in range(count)]
    run(Batch(engine.session(9), 8, 1 << 40, None, speculation), *jobs)
    assert count / 4 < sum(job.guessed_right for job in jobs) < count
    seen = Counter(tuple(job.drawn) for job in jobs)

    def statistic(temperature: float) -> float:
        sampler, expected = Sampler(temperature, seed=0, **options), {(): 1.0}  # type: ignore[arg-type]
        session = engine.session()
        for _ in range(3):
            further = {}
            for before, chance in expected.items():
                session.reset()
                ids, chances = sampler.candidates(session.prefill([*prompt, *before]))
                further |= {(*before, int(id)): chance * own for id, own in zip(ids, chances, strict=True)}
            expected = further
        assert seen.keys() <= expected.keys() and len(expected) == 27
        return sum((seen[own] - count * chance) ** 2 / (count * chance) for own, chance in expected.items())

    assert statistic(1.0) < 26 + 3 * np.sqrt(2 * 26) < statistic(1.3)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_a_draft_follows_texts_and_catches_up(make_long: Callable[[str], Engine], architecture: str) -> None:
    """A model that drafts for itself is always right, for a second turn too, of which it reads what is new."""
    engine = make_long(architecture)
    speculation = asked_always(Draft(engine, engine, 2, 4))
    batch = batch_of(engine, speculation, parallel=2)
    jobs = [Drawn(text(n), 50, temperature=0) for n in (150, 8)]
    run(batch, *jobs)
    second = Drawn([*jobs[0].ids, *jobs[0].drawn, *text(9)], 30, temperature=0)
    read = []
    advance = speculation.session.advance
    speculation.session.advance = lambda ids, outputs: (  # type: ignore[method-assign]
        read.append(sum(map(len, ids.values()))) or advance(ids, outputs)
    )
    run(batch, second)
    assert read[0] < 16
    for job in (*jobs, second):
        assert 0 < job.guessed - 4 <= job.guessed_right  # the last ones may come after the end
        alone = Drawn(job.ids, job.limit, temperature=0)
        run(batch_of(engine), alone)
        assert job.drawn == alone.drawn
    assert not speculation._texts and not speculation._slots.busy


def test_a_draft_that_helps_nothing_is_not_asked(make_long: Callable[[str], Engine]) -> None:
    engine, draft = make_long("llama"), make_long("qwen2")
    speculation = Draft(engine, draft, 1, 4)
    assert speculation.drafting == pytest.approx(1, rel=0.01)
    job = Drawn(text(20), 30, temperature=0)
    run(batch_of(engine, speculation), job)
    assert job.guessed == 0
    speculation.drafting = 0.1  # but another model of random weights is not right
    run(batch_of(engine, speculation), job := Drawn(text(20), 200, temperature=0))
    assert 0 < job.guessed < 60 and job.guessed_right < 10


def test_drafts_that_cannot_go_back_are_refused(make_long: Callable[[str], Engine]) -> None:
    with pytest.raises(UsageError, match=r"qwen35.gguf cannot draft: its layers keep a state"):
        Draft(make_long("llama"), make_long("qwen35"), 1, 4)


def test_going_back_over_guesses_reads_nothing_again(
    make_long: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers with a window hold what is needed, however long the text is."""
    session = make_long("gemma3").session()
    assert session.memory.goes_back and session.memory.forgets
    monkeypatch.setattr(session, "extend", None)
    for _ in range(30):
        session.advance({0: text(16)})
        session.reset(session.position - 14)
        session.advance({0: text(14)})
    assert session.position == 480
    assert not make_long("qwen35").session().memory.goes_back
