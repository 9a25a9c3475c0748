"""Which sequence of a session reads which text: a new one continues the longest beginning that some sequence holds.

Sequences share pages of memory, so that what a hundred texts begin with lies there once. Layers with a state, or with
a window, cannot go back to any earlier token; for those, `keep` leaves a copy where later texts will branch off.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitwright.engine.session import Session
    from bitwright.engine.stored import Prefixes

SHORT = 64  # tokens (a page) of an older text that a new one may overwrite


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids two texts have in common at their beginning."""
    for start in range(0, min(len(a), len(b)), SHORT):
        x, y = a[start : start + SHORT], b[start : start + SHORT]
        if x != y:
            return start + next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
    return min(len(a), len(b))


class Slots:
    """The sequences of a session, each busy with a text or keeping an earlier one.

    `budget` is the most bytes of memory that may stay in use for kept texts; busy ones use what they need, within the
    room of the session's memory. `prefixes` are texts on disk.
    """

    def __init__(self, session: Session, budget: int, prefixes: Prefixes | None = None) -> None:
        self.session, self.budget, self.prefixes, self.busy = session, budget, prefixes, set[int]()
        self._clock = itertools.count(1)
        self._used = dict.fromkeys(range(len(session.ids)), 0)  # when each was last busy
        self._fixed = session.memory.bytes_in_use  # bytes of states

    def take(self, ids: Sequence[int], most: int) -> tuple[int, int]:
        """A sequence for the text `ids`, and how many of its first tokens, at most `most`, that already holds."""
        source, held = self._restored(ids, most) or self.best(ids, most)
        target = self._target(source, held)
        if target != source and held:
            self.session.fork(source, target)
        if held or self.session.ids[target]:
            self.session.reset(held, target)
        self.busy.add(target)
        self._touch(source if held else target)
        self._touch(target)
        self.shrink()
        return target, held

    def best(self, ids: Sequence[int], most: int) -> tuple[int, int]:
        """The sequence that holds the longest beginning of `ids`, at most `most` tokens, and how long that is."""
        lengths = {s: self._usable(s, ids, most) for s in self._used}
        source = max(lengths, key=lambda s: (lengths[s], self._used[s]))
        return source, lengths[source]

    def release(self, sequence: int) -> None:
        """The sequence is no longer busy, and keeps its text."""
        self.busy.discard(sequence)
        self._touch(sequence)
        self.shrink()

    def store(self, sequence: int) -> None:
        """Keep what a sequence holds on disk, too."""
        if self.prefixes is not None:
            self.prefixes.save(sequence)

    def keep(self, sequence: int) -> None:
        """Leave a copy of a busy sequence as it is now, if it could not be gone back to later."""
        text = self.session.ids[sequence]
        if not text or not self.session.memory.forgets:
            return
        self.store(sequence)
        if any(held == text for s, held in enumerate(self.session.ids) if s != sequence):
            return
        if (target := self._idle_oldest()) is not None:
            self.session.fork(sequence, target)
            self._touch(target)

    def shrink(self) -> None:
        """Give up the texts that were not used for longest, until the rest are within the budget."""
        self._give_up(self.budget)

    def make_room(self, bytes: int) -> bool:
        """Give up the texts that were not used for longest, until there is room for `bytes` more. False: busy texts
        leave less."""
        return self._give_up(self.session.memory.room - bytes)

    def holds(self, lengths: Iterable[int], more: int) -> bool:
        """Whether there is room for texts of so many tokens each and `more` bytes, if all other texts are given up."""
        memory = self.session.memory
        return self._fixed + sum(map(memory.bytes_for, lengths)) + more <= memory.room

    def _give_up(self, most: int) -> bool:
        while self.session.memory.bytes_in_use > most:
            held = [s for s in self._used if s not in self.busy and self.session.ids[s]]
            if not held:
                return False
            self.session.evict(min(held, key=self._used.__getitem__))
        return True

    def _restored(self, ids: Sequence[int], most: int) -> tuple[int, int] | None:
        """A sequence that now holds a longer beginning of `ids` than any did, from disk, and how long that is."""
        if self.prefixes is None:
            return None
        stored, length = self.prefixes.best(ids, most)
        if stored is None or length < self.best(ids, most)[1] + SHORT:
            return None
        room = self.make_room(self.session.memory.bytes_for(len(stored.ids)))
        target = self._idle_oldest()
        if not room or target is None or not self.prefixes.restore(stored, target):
            return None
        self._touch(target)
        return target, length

    def _usable(self, sequence: int, ids: Sequence[int], most: int) -> int:
        held = self.session.ids[sequence]
        same = min(common(held, ids), most)
        return same if same == len(held) or same >= self.session.memory.earliest[sequence] else 0

    def _target(self, source: int, held: int) -> int:
        """The sequence that will read on: the source itself, if little of its text is lost thereby."""
        little = len(self.session.ids[source]) - held <= SHORT and not self.session.memory.forgets
        if little and source not in self.busy:
            return source
        other = self._idle_oldest(but=source if held else None)
        return source if other is None else other

    def _idle_oldest(self, but: int | None = None) -> int | None:
        idle = [s for s in self._used if s not in self.busy and s != but]
        return min(idle, key=lambda s: (bool(self.session.ids[s]), self._used[s]), default=None)

    def _touch(self, sequence: int) -> None:
        self._used[sequence] = next(self._clock)
