"""Guesses by a smaller model, which reads the same texts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bitwright.engine.pace import Pace
from bitwright.engine.slots import Slots
from bitwright.engine.speculation import Cost, Speculation, bytes_read, chain, seen, worthwhile
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine.engine import Engine

CHANCE = 0.7  # at first, that a guess is right
RECOVERY = 1000  # steps without a guess after which a chance has moved by two thirds back to that


@dataclass
class Followed:
    """A text that the draft reads in its own `sequence`. ids: its tokens; of these, the draft's memory holds a
    beginning, and perhaps guesses after them. guesses: those that were not drawn yet. chance: that one is right."""

    sequence: int
    ids: list[int]
    guesses: list[int] = field(default_factory=list)
    chance: float = CHANCE


class Draft(Speculation):
    """Guesses what the model `draft`, of the same vocabulary, finds likeliest, for up to `parallel` texts that `engine`
    writes. At most `most` tokens at a time. UsageError if the draft cannot go back over wrong guesses.
    """

    def __init__(self, engine: Engine, draft: Engine, parallel: int, most: int) -> None:
        self.session = draft.session(parallel)
        if not self.session.memory.goes_back:
            raise UsageError(f"{draft.path.name} cannot draft: its layers keep a state that cannot go back")
        self.most, self.cost, self.drafting = most, Cost(engine.config), bytes_read(draft) / bytes_read(engine)
        self.vocabulary = min(engine.config.vocabulary, draft.config.vocabulary)
        self._slots, self._pace = Slots(self.session, self.session.memory.bytes), Pace()
        self.slots = (self._slots,)
        self._texts: dict[int, Followed] = {}

    def begin(self, sequence: int, ids: Sequence[int]) -> None:
        """Follow a text, from the longest beginning that some earlier text had."""
        known = [*map(self._known, ids)]
        own, _ = self._slots.take(known, len(known) - 1)
        self._texts[sequence] = Followed(own, known)

    def wrote(self, sequence: int, id: int) -> None:
        """Add a token to a text, and go back if it was guessed wrong."""
        text = self._texts[sequence]
        place, held = len(text.ids), self.session.ids[text.sequence]
        text.ids.append(self._known(id))
        if place < len(held) and held[place] != text.ids[-1]:
            self.session.reset(place, text.sequence)
        if text.guesses:
            right = text.guesses.pop(0) == id
            text.chance = seen(text.chance, right)
            if not right:
                text.guesses.clear()

    def end(self, sequence: int) -> None:
        """Follow a text no longer; what was read of it may serve another."""
        if (text := self._texts.pop(sequence, None)) is not None:
            self._slots.release(text.sequence)

    def guess(self, room: Mapping[int, int]) -> dict[int, list[int]]:
        """What the draft writes, for texts that it has caught up with."""
        chances = {sequence: chain([self._texts[sequence].chance] * min(self.most, most))
                   for sequence, most in room.items()}  # fmt: skip
        counts = worthwhile(chances, self.cost, self.drafting * self.cost(max(len(room), 1)))
        for sequence in room:
            if sequence not in counts:
                text = self._texts[sequence]
                text.chance += (CHANCE - text.chance) / RECOVERY
        active = self._caught_up([self._texts[sequence] for sequence in counts])
        wanted = {self._texts[sequence].sequence: count for sequence, count in counts.items()}
        while active := [text for text in active if len(text.guesses) < wanted[text.sequence]]:
            self._extend(active, {text.sequence: text.guesses[-1:] for text in active})
        return {sequence: [*text.guesses] for sequence in counts if (text := self._texts[sequence]).guesses}

    def _caught_up(self, texts: Sequence[Followed]) -> list[Followed]:
        """Read what the draft has not read yet, as far as time allows; those of which all is read have a guess now."""
        left, pieces, done = min(self.session.batch, self._pace.tokens), {}, []
        for text in texts:
            missing = text.ids[len(self.session.ids[text.sequence]) :]
            if left:
                pieces[text.sequence] = missing[:left]
                done += [text] * (len(missing) <= left)
                left -= len(pieces[text.sequence])
        if pieces:
            started = time.monotonic()
            self._extend(done, pieces)
            self._pace.note(sum(map(len, pieces.values())), time.monotonic() - started)
        return done

    def _extend(self, texts: Sequence[Followed], pieces: Mapping[int, Sequence[int]]) -> None:
        """Read pieces, and add a guess to `texts`, which end with theirs."""
        ends = {text.sequence: (len(pieces[text.sequence]) - 1,) for text in texts}
        logits = self.session.advance(pieces, ends)
        for text, row in zip(texts, logits, strict=True):
            text.guesses.append(int(row[: self.vocabulary].argmax()))

    def _known(self, id: int) -> int:
        """An id as the draft may read it; those beyond its vocabulary, which pad the model's, all look the same."""
        return id if id < self.vocabulary else 0
