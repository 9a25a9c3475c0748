"""Batches: every text continues as it would alone, whatever shares the machine with it, and shares what it can."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import synthetic_model

from bitwright.engine import Engine
from bitwright.engine.batch import Batch
from bitwright.engine.job import Job
from bitwright.engine.slots import common
from bitwright.engine.worker import Worker
from bitwright.errors import BitwrightError

close = {"rtol": 0, "atol": 2e-2}  # as in test_session: kernels for few and for many tokens add in another order
RANDOM = np.random.default_rng(5)


def text(length: int) -> list[int]:
    return RANDOM.integers(0, synthetic_model.VOCABULARY, length).tolist()


class Forced(Job):
    """A job whose continuation is given, and which remembers the logits it saw."""

    def __init__(self, ids: Sequence[int], then: Sequence[int], **more: object) -> None:
        super().__init__(ids, **more)  # type: ignore[arg-type]
        self.then, self.seen, self.scores, self.ends = list(then), [], [], []
        self.done = threading.Event()

    def next(self, logits: np.ndarray) -> int | None:
        self.seen.append(logits.copy())
        return self.then[len(self.seen) - 1] if len(self.seen) <= len(self.then) else None

    def score(self, start: int, logits: np.ndarray) -> None:
        self.scores += [(start + i, row.copy()) for i, row in enumerate(logits)]

    def ended(self, error: BaseException | None) -> None:
        self.ends.append(error)
        self.done.set()

    def check(self, engine: Engine) -> None:
        assert self.ends == [None]
        alone = engine.session().logits([*self.ids, *self.then])[len(self.ids) - 1 :]
        np.testing.assert_allclose(np.array(self.seen), alone[: len(self.seen)], **close)


def run(batch: Batch, *jobs: Job) -> None:
    for job in jobs:
        batch.add(job)
    while batch.step():
        pass


def batch_of(engine: Engine, parallel: int = 3, kept: int = 4, budget: int = 1 << 40) -> Batch:
    return Batch(engine.session(parallel + kept), parallel, budget)


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen35"])
def test_texts_continue_as_they_would_alone(make_long: Callable[[str], Engine], architecture: str) -> None:
    engine, shared = make_long(architecture), text(90)
    batch = batch_of(engine, kept=12)
    jobs = [Forced([*shared[:n], *text(k)], text(m), marks=[n]) for n, k, m in
            [(90, 5, 9), (90, 40, 3), (64, 1, 20), (0, 33, 7), (90, 5, 0), (17, 3, 12)]]  # fmt: skip
    run(batch, *jobs[:4])
    run(batch, *jobs[4:])
    for job in jobs:
        job.check(engine)
    assert jobs[4].cached == 90 and batch.running == []


def test_what_texts_share_is_read_once_even_when_they_come_together(make_long: Callable[[str], Engine]) -> None:
    engine, shared = make_long("llama"), text(200)
    batch = batch_of(engine)
    jobs = [Forced([*shared, *text(5)], text(4), marks=[200]) for _ in range(3)]
    run(batch, *jobs)
    for job in jobs:
        job.check(engine)
    assert [job.cached for job in jobs] == [0, 200, 200]


@pytest.mark.parametrize("architecture", ["gemma3", "qwen35"])
def test_models_that_forget_keep_a_copy_at_each_mark(make_long: Callable[[str], Engine], architecture: str) -> None:
    """A second turn changes what followed the mark, and both windows and states have moved on since."""
    engine, first = make_long(architecture), text(150)
    batch = batch_of(engine)
    run(batch, Forced(first, text(40), marks=[140]))
    second = Forced([*first[:140], *text(30)], text(5), marks=[165])
    run(batch, second)
    second.check(engine)
    assert second.cached == 140


def test_the_same_text_again_rereads_one_token(make_long: Callable[[str], Engine]) -> None:
    engine, own = make_long("llama"), text(100)
    batch = batch_of(engine)
    run(batch, Forced(own, text(3)))
    again = Forced(own, text(3))
    run(batch, again)
    again.check(engine)
    assert again.cached == 99


def test_logits_of_the_text_are_scored(make_long: Callable[[str], Engine]) -> None:
    engine, own = make_long("llama"), text(100)
    batch = batch_of(engine)
    job = Forced(own, [])
    job.scored = True  # type: ignore[misc]
    run(batch, Forced(own, text(2)), job)
    assert [at for at, _ in job.scores] == list(range(100)) and job.cached == 0
    np.testing.assert_allclose(np.array([row for _, row in job.scores]), engine.session().logits(own), **close)


def test_a_full_context_ends_a_text(make_long: Callable[[str], Engine]) -> None:
    engine = make_long("llama").replace(context=64)
    job = Forced(text(60), text(20))
    run(batch_of(engine), job)
    assert job.ends == [None] and len(job.seen) == 5  # four tokens fit, and the fifth is chosen after the last


def test_memory_of_kept_texts_stays_within_the_budget(make_long: Callable[[str], Engine]) -> None:
    batch = batch_of(make_long("llama"), budget=0)
    job = Forced(text(130), text(4))
    run(batch, job)
    assert batch.session.memory.bytes_in_use == 0 and job.ends == [None]


def test_who_has_less_at_work_begins_first(make_long: Callable[[str], Engine]) -> None:
    batch = batch_of(make_long("llama"), parallel=2)
    greedy, modest = [Forced(text(20), text(5), owner="a") for _ in range(4)], Forced(text(20), text(5), owner="b")
    for job in [*greedy, modest]:
        batch.add(job)
    batch.step()
    assert {own.job.owner for own in batch.running} == {"a", "b"}
    run(batch)
    assert all(job.ends == [None] for job in [*greedy, modest])


def test_one_failing_job_does_not_end_the_others(make_long: Callable[[str], Engine]) -> None:
    class Failing(Forced):
        def next(self, logits: np.ndarray) -> int | None:
            raise BitwrightError("no token is allowed")

    engine = make_long("llama")
    good, bad = Forced(text(30), text(6)), Failing(text(30), [])
    run(batch_of(engine), bad, good)
    good.check(engine)
    assert str(bad.ends[0]) == "no token is allowed"


def test_a_job_can_be_cancelled_while_it_waits_reads_and_writes(make_long: Callable[[str], Engine]) -> None:
    engine = make_long("llama")
    batch = batch_of(engine, parallel=1)
    writing, waiting = Forced(text(20), text(100)), Forced(text(20), text(3))
    batch.add(writing)
    batch.add(waiting)
    for _ in range(3):
        batch.step()
    writing.cancelled = waiting.cancelled = True
    assert not batch.step()
    assert writing.ends == waiting.ends == [None] and len(writing.seen) == 3
    again = Forced([*writing.ids, *writing.then[:2]], text(2))
    run(batch, again)
    assert again.cached >= 20
    again.check(engine)


def test_a_worker_serves_threads_and_ends_what_is_left(make_long: Callable[[str], Engine]) -> None:
    engine = make_long("llama")
    worker = Worker(batch_of(engine))
    worker.start()
    jobs = [Forced(text(25), text(8)) for _ in range(8)]
    senders = [threading.Thread(target=worker.submit, args=([job],)) for job in jobs]
    for sender in senders:
        sender.start()
    assert all(job.done.wait(60) for job in jobs)
    for job in jobs:
        job.check(engine)

    class Endless(Forced):
        def next(self, logits: np.ndarray) -> int | None:
            return 1

    endless = Endless(text(10), [])
    worker.submit([endless])
    worker.close()
    assert not worker.is_alive() and endless.done.is_set()
    with pytest.raises(BitwrightError, match="shutting down"):
        worker.submit([Forced(text(5), [])])


@pytest.mark.parametrize("same", [0, 1, 63, 64, 65, 200])
def test_common(same: int) -> None:
    a, b = [*range(same), 1000, 1, 2], [*range(same), 2000, 1]
    assert common(a, b) == same == common(b, a)
    assert common(a[:same], a) == same


def test_a_deadline_ends_a_job_that_waits_and_one_that_is_written(make_long: Callable[[str], Engine]) -> None:
    batch = batch_of(make_long("llama"), parallel=1)
    writing, waiting = Forced(text(20), text(100)), Forced(text(20), text(3))
    batch.add(writing)
    batch.add(waiting)
    batch.step()
    writing.deadline = waiting.deadline = 0
    assert not batch.step()
    assert [type(job.ends[0]) for job in (writing, waiting)] == [TimeoutError, TimeoutError]


def test_a_step_that_fails_ends_its_jobs_and_not_the_worker(
    make_long: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_long("llama")
    batch = batch_of(engine)

    def full(*_: object) -> None:
        raise BitwrightError("no memory for another page")

    worker = Worker(batch)
    worker.start()
    with monkeypatch.context() as patched:
        patched.setattr(batch.slots, "take", full)
        failing = Forced(text(20), text(2))
        worker.submit([failing])
        assert failing.done.wait(60) and str(failing.ends[0]) == "no memory for another page"
    later = Forced(text(20), text(2))
    worker.submit([later])
    assert later.done.wait(60)
    later.check(engine)
    worker.close()
