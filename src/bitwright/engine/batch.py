"""Many texts continued at the same time: each step reads one token of every text that is being written, and a piece of
those that are still being read (continuous batching with chunked prefill; Sarathi-Serve, arXiv 2403.02310).

Texts take turns: who has waited longest reads next, and among those who wait to begin, who has fewest texts at work
comes first. While some texts are being written, a step reads only as much as `Pace` allows, so that they go on. What a
text may continue with can be guessed (`speculation`); then a step reads the guess, too.

Memory bounds how many are at work. A text begins once there is room for it, for those at work, and for ANSWER more
tokens of each; until then it waits, and so do those after it, or short texts would always go first. Where answers grow
beyond that, earlier texts are given up, and then the text that began last waits once more: it reads again what it no
longer holds, and goes on where it was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bitwright.engine.job import Ending, Float32, Job, Running
from bitwright.engine.pace import Pace
from bitwright.engine.slots import SHORT, Slots, common
from bitwright.engine.speculation import Speculation
from bitwright.kernels.memory import PAGE

if TYPE_CHECKING:
    from bitwright.engine.session import Session
    from bitwright.engine.stored import Prefixes

ALL = 64  # tokens that are read in a step if the logits after each are wanted
ANSWER = 1024  # tokens that a text is expected to be continued by: few answers are longer


class Batch:
    """The jobs of a session with more sequences than `parallel`, of which that many may be busy."""

    def __init__(
        self,
        session: Session,
        parallel: int,
        budget: int,
        prefixes: Prefixes | None = None,
        speculation: Speculation | None = None,
    ) -> None:
        self.session, self.parallel, self.slots = session, parallel, Slots(session, budget, prefixes)
        self.speculation = speculation or Speculation()
        self._held = (self.slots, *self.speculation.slots)
        self._began = 0
        self.waiting: list[Job] = []
        self.running: list[Running] = []  # those that read next come first
        self.pace = Pace()

    def add(self, job: Job) -> None:
        """Begin a job when there is room. Its text must be shorter than the context."""
        self.waiting.append(job)

    def step(self) -> bool:
        """Read some tokens of every job that is running; False if there is none."""
        self._end_cancelled()
        self._begin()
        if not self.running:
            return False
        self._make_room()
        ids = self._writes()
        outputs: dict[int, Sequence[int]] = {sequence: range(len(own)) for sequence, own in ids.items()}
        reading = self._plan_reading(ids, outputs)
        started = time.monotonic()
        try:
            logits = self.session.advance(ids, outputs)
        except BaseException as error:
            for own in [r for r in self.running if r.sequence in ids]:
                self._end(own, error)
            if isinstance(error, Exception):
                return True
            raise
        self.pace.note(reading, time.monotonic() - started)
        self._take(ids, outputs, logits)
        return True

    def cancel_all(self, error: BaseException | None) -> None:
        """End every job."""
        for job in self.waiting:
            job.ended(error)
        self.waiting.clear()
        for own in [*self.running]:
            self._end(own, error)

    def close(self) -> None:
        """End every job, and write what is still to be kept on disk."""
        self.cancel_all(Ending())
        if self.slots.prefixes is not None:
            for sequence in range(len(self.session.ids) if not self.session.memory.forgets else 0):
                self.slots.store(sequence)
            self.slots.prefixes.flush()

    def _end_cancelled(self) -> None:
        now = time.monotonic()
        for job in [job for job in self.waiting if job.cancelled or job.deadline < now]:
            self.waiting.remove(job)
            job.ended(None if job.cancelled else TimeoutError())
        for own in [own for own in self.running if own.job.cancelled or own.job.deadline < now]:
            self._end(own, None if own.job.cancelled else TimeoutError())

    def _begin(self) -> None:
        while self.waiting and len(self.running) < self.parallel:
            active = Counter(own.job.owner for own in self.running)
            in_turn = sorted(self.waiting, key=lambda job: active[job.owner])
            job = next((job for job in in_turn if not (self._has_room(job) and self._will_share(job))), None)
            if job is None or not self._has_room(job):
                return
            sequence, held = self.slots.take(job.text, self._reusable(job))
            if not job.began:
                self._began += 1
                job.began, job.cached = self._began, held
            self.waiting.remove(job)
            self.running.append(Running(job, sequence, held))

    def _has_room(self, job: Job) -> bool:
        """Whether memory has room for a job's text and for those at work. One alone may always begin."""
        positions = self.session.positions
        lengths = [max(len(own.job.text), positions[own.sequence]) for own in self.running]
        expected = [length + ANSWER for length in (len(job.text), *lengths)]
        fits = (slots.holds(expected, self._added(slots, len(expected))) for slots in self._held)
        return not self.running or all(fits)

    def _make_room(self) -> None:
        """Make room for what a step may add."""
        while True:
            made = [slots.make_room(self._added(slots, len(self.running))) for slots in self._held]
            if all(made) or len(self.running) == 1:
                return
            self._begin_again(max(self.running, key=lambda own: own.job.began))

    def _added(self, slots: Slots, texts: int) -> int:
        """The most bytes that a step of so many texts adds: the pages that its tokens fill, and for each text two that
        are begun, by what it reads and by a guess, and a shared one that is copied."""
        return (self.session.batch // PAGE + 3 * texts) * slots.session.memory.bytes_for(1)

    def _begin_again(self, own: Running) -> None:
        """Let a job wait once more; what it has written becomes part of its text."""
        if own.next is not None:
            own.job.text = [*self.session.ids[own.sequence], own.next]
        self._release(own)
        self.waiting.insert(0, own.job)

    def _will_share(self, job: Job) -> bool:
        """Whether another job is reading a longer beginning of this job's text than any sequence holds by now."""
        if not self._reusable(job):
            return False
        reading = [own for own in self.running if own.next is None]
        coming = max((min(common(own.job.text, job.text), own.stop) for own in reading), default=0)
        return coming > self.slots.best(job.text, self._reusable(job))[1] + SHORT

    @staticmethod
    def _reusable(job: Job) -> int:
        return 0 if job.scored else len(job.text) - 1  # the last token is read for its logits

    def _writes(self) -> dict[int, list[int]]:
        """What a step reads of the texts that are being written: a token of each, and what may follow it."""
        writing = [own for own in self.running if own.next is not None]
        most = self.session.batch // (2 * max(len(writing), 1)) - 1
        left = {own.sequence: self.session.context - self.session.positions[own.sequence] - 1 for own in writing}
        guesses = self.speculation.guess({sequence: min(most, room) for sequence, room in left.items()})
        return {own.sequence: [own.next, *guesses.get(own.sequence, ())] for own in writing if own.next is not None}

    def _plan_reading(self, ids: dict[int, list[int]], outputs: dict[int, Sequence[int]]) -> int:
        """Add to a step what it reads of the other texts, and after which of those tokens logits are wanted. Returns
        the number of tokens added."""
        most = room = self.session.batch - sum(map(len, ids.values()))
        if ids:
            most = room = min(room, self.pace.tokens)
        for own in [own for own in self.running if own.next is None]:
            if room <= 0:
                break
            stop = min(own.stop, own.read + min(room, ALL if own.job.scored else room))
            piece = own.job.text[own.read : stop]
            ids[own.sequence] = piece
            wanted = range(len(piece)) if own.job.scored else [len(piece) - 1] * (stop == len(own.job.text))
            outputs[own.sequence] = wanted
            room -= len(piece)
            self.running.remove(own)
            self.running.append(own)
        return most - room

    def _take(self, ids: dict[int, list[int]], outputs: dict[int, Sequence[int]], logits: Float32) -> None:
        """Hand the logits of a step on to its jobs."""
        owners, start = {own.sequence: own for own in self.running}, 0
        for sequence, piece in ids.items():
            own, rows = owners[sequence], logits[start : start + len(outputs[sequence])]
            start += len(rows)
            try:
                if own.next is None:
                    self._read(own, len(piece), rows)
                else:
                    self._write(own, piece, rows)
            except Exception as error:  # of this job alone: its logits are not finite, or its constraint failed
                self._end(own, error)

    def _read(self, own: Running, count: int, rows: Float32) -> None:
        """A piece of a job's text was read; after its last, the job draws its first token."""
        if own.job.scored:
            own.job.score(own.read, rows)
        own.read += count
        if own.read in own.job.marks:
            self.slots.keep(own.sequence)
        if own.read < len(own.job.text):
            return
        if not self.session.memory.forgets:
            self.slots.store(own.sequence)
        own.next = own.job.next(rows[-1])
        if own.next is not None:
            self.speculation.begin(own.sequence, [*own.job.text, own.next])
        self._end_if_complete(own)

    def _write(self, own: Running, piece: list[int], rows: Float32) -> None:
        """The job's last token was read, and a guess after it: the job draws tokens up to the first that differs."""
        before, used = self.session.positions[own.sequence] - len(piece), 0
        try:
            for guess, logits in zip([*piece[1:], None], rows, strict=True):
                used += 1
                own.next = own.job.next(logits)
                if own.next is not None:
                    self.speculation.wrote(own.sequence, own.next)
                if own.next is None or own.next != guess:
                    break
        finally:
            own.job.guessed += len(piece) - 1
            own.job.guessed_right += used - 1
            if used < len(piece):
                self.session.reset(before + used, own.sequence)
        self._end_if_complete(own)

    def _end_if_complete(self, own: Running) -> None:
        if own.next is None or self.session.positions[own.sequence] == self.session.context:
            self._end(own)

    def _end(self, own: Running, error: BaseException | None = None) -> None:
        self._release(own)
        own.job.ended(error)

    def _release(self, own: Running) -> None:
        self.running.remove(own)
        self.speculation.end(own.sequence)
        self.slots.release(own.sequence)
