"""Batches within bounded memory: texts wait, or begin again, and are those that they would be alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_batch import Forced, text
from test_speculation import asked_always

from bitwright.engine import Engine
from bitwright.engine import batch as batch_module
from bitwright.engine import stored as stored_module
from bitwright.engine.batch import Batch
from bitwright.engine.draft import Draft
from bitwright.engine.stored import Prefixes

LONG = 2048  # tokens of half the context
PARALLEL, SEQUENCES = 3, 7


def with_room(engine: Engine, tokens: int, each: int = 64) -> Engine:
    """With memory for so many tokens, in texts of `each`, and for the states of all sequences."""
    memory = engine.session(SEQUENCES).memory
    return engine.replace(room=memory.bytes_in_use + memory.bytes_for(each) * tokens // each)


def batch_of(engine: Engine, prefixes: bool = False, draft: Engine | None = None) -> Batch:
    session = engine.session(SEQUENCES)
    speculation = None if draft is None else asked_always(Draft(engine, draft, PARALLEL, 4))
    return Batch(session, PARALLEL, 1 << 40, Prefixes(session, 1 << 30) if prefixes else None, speculation)


def run(batch: Batch, *jobs: Forced) -> int:
    """Run jobs, and see that memory stays within its room. Returns how many were at work at the same time."""
    most, memories = 0, [slots.session.memory for slots in (batch.slots, *batch.speculation.slots)]
    for job in jobs:
        batch.add(job)
    while batch.step():
        most = max(most, len(batch.running))
        for memory in memories:
            assert memory.bytes_in_use <= memory.room
    assert [job.ends for job in jobs] == [[None]] * len(jobs)
    return most


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen35"])
def test_two_long_texts_take_turns_where_there_is_room_for_one_and_a_half(
    make_longer: Callable[[str], Engine], architecture: str
) -> None:
    engine = make_longer(architecture)
    jobs = [Forced(text(LONG), text(5)) for _ in range(2)]
    assert run(batch_of(with_room(engine, 3 * LONG // 2, LONG)), *jobs) == 1
    for job in jobs:
        job.check(engine)
    assert run(batch_of(engine), Forced(text(LONG), text(5)), Forced(text(LONG), text(5))) == 2


@pytest.mark.parametrize(
    ("architecture", "drafting"),
    [("llama", False), ("gemma3", False), ("qwen35", False), ("llama", True), ("gemma3", True)],
)
def test_answers_longer_than_memory_expects_begin_again(
    make_longer: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch, architecture: str, drafting: bool
) -> None:
    """Three texts of 300 tokens become texts of 900, with room for 300 each and for the pages of a step."""
    monkeypatch.setattr(batch_module, "ANSWER", 0)
    engine = make_longer(architecture)
    tight = with_room(engine, 2600)
    batch = batch_of(tight, draft=tight if drafting else None)
    jobs = [Forced(text(300), text(600), owner=owner) for owner in "abc"]
    assert run(batch, *jobs) == 3
    for job in jobs:
        job.check(engine)
    assert jobs[0].text is jobs[0].ids and len(jobs[2].text) > 300 and jobs[2].text[:300] == jobs[2].ids
    assert [job.cached for job in jobs] == [0, 0, 0] and [job.began for job in jobs] == [1, 2, 3]


def test_a_scored_text_that_begins_again_is_scored_from_its_beginning(
    make_longer: Callable[[str], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "ANSWER", 0)
    engine = make_longer("llama")
    first, scored = Forced(text(300), text(700)), Forced(text(1500), text(5))
    scored.scored = True  # type: ignore[misc]
    run(batch_of(with_room(engine, 2800)), first, scored)
    places = [place for place, _ in scored.scores]
    assert places[places.index(0, 1) :] == [*range(len(scored.text))] and len(scored.text) > 1500
    scored.check(engine)


def test_who_has_no_room_is_not_overtaken(make_longer: Callable[[str], Engine]) -> None:
    batch = batch_of(with_room(make_longer("llama"), 3 * LONG // 2 + 2 * 1024))
    first, long, short = Forced(text(LONG), text(30)), Forced(text(LONG), text(3)), Forced(text(10), text(3))
    run(batch, first, long, short)
    assert [job.began for job in (first, long, short)] == [1, 2, 3]


def test_short_texts_are_written_together_where_long_ones_are_not(make_longer: Callable[[str], Engine]) -> None:
    jobs = [Forced(text(100), text(20)) for _ in range(3)]
    assert run(batch_of(with_room(make_longer("llama"), 5000)), *jobs) == 3


def test_a_text_alone_begins_in_any_room(make_longer: Callable[[str], Engine]) -> None:
    engine = make_longer("llama").replace(room=0)
    batch, jobs = batch_of(engine), [Forced(text(4000), text(90)), Forced(text(4000), text(200))]
    memory = batch.session.memory
    for job in jobs:
        batch.add(job)
        while batch.step():
            assert len(batch.running) <= 1 and memory.bytes_in_use <= memory.bytes_for(engine.context)
        job.then = job.then[: len(job.seen) - 1]
        job.check(engine)
    assert len(jobs[1].seen) == 2 * LONG - 4000 + 1  # until the context is full


def test_earlier_texts_are_given_up_first(make_longer: Callable[[str], Engine]) -> None:
    engine = make_longer("llama")
    batch = batch_of(with_room(engine, 6000))
    kept, later = [Forced(text(1500), text(2)) for _ in range(2)], Forced(text(3500), text(3))
    for job in [*kept, later]:
        run(batch, job)
    assert kept[0].ids not in (held[:1500] for held in batch.session.ids)
    again = Forced([*kept[1].ids, *text(3)], text(3))
    run(batch, again)
    assert again.cached == 1500 and later.text is later.ids
    again.check(engine)


def test_stored_texts_are_restored_where_earlier_ones_are_given_up_for_them(
    make_longer: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_module, "cache_folder", lambda: tmp_path)
    engine = make_longer("llama")
    first, tight = text(2000), with_room(engine, 4600)
    old = batch_of(engine.replace(context=3000), prefixes=True)
    run(old, Forced(first, text(2)))
    old.close()
    batch = batch_of(tight, prefixes=True)  # of another context and room
    run(batch, Forced(text(1000), []), Forced(text(2500), []))
    again = Forced([*first, *text(5)], text(2))
    run(batch, again)
    assert again.cached == 2000
    again.check(engine)
    batch.close()


@pytest.mark.parametrize(("tokens", "stored"), [(3900, 0), (4100, 1)])
def test_a_text_is_stored_if_there_is_room_for_its_copy(
    make_longer: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: int, stored: int
) -> None:
    monkeypatch.setattr(stored_module, "cache_folder", lambda: tmp_path)
    batch = batch_of(with_room(make_longer("llama"), tokens), prefixes=True)
    run(batch, Forced(text(1984), text(2)))
    batch.close()
    assert len([*tmp_path.rglob("*.kv")]) == stored


def test_texts_longer_than_the_context_stay_stored(
    make_longer: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_module, "cache_folder", lambda: tmp_path)
    engine, first = make_longer("llama"), text(2000)

    def known(context: int, *texts: list[int]) -> list[int]:
        """How much of each text is known to a new server with this context."""
        batch, jobs = batch_of(engine.replace(context=context), prefixes=True), [Forced(own, text(2)) for own in texts]
        run(batch, *jobs)
        batch.close()
        for job in jobs:
            job.check(engine)
        return [job.cached for job in jobs]

    assert known(4096, first) == [0]
    assert known(1000, [*first[:700], *text(9)]) == [0]
    assert known(4096, [*first[:1500], *text(9)]) == [1500]
