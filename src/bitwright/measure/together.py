"""Texts written many at once: each sequence of a session holds one, and takes the next when that ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bitwright.engine import Engine

TOGETHER = 16  # texts at once: decoding many costs little more than decoding one


class Text(Protocol):
    """A text that is being written."""

    @property
    def feed(self) -> Sequence[int]:
        """What the model reads next; empty once the text is over."""


T = TypeVar("T", bound=Text)


def predictions(
    engine: Engine, start: Sequence[int], texts: Sequence[T]
) -> Iterator[tuple[list[T], NDArray[np.float32]]]:
    """Run texts that all begin with the tokens `start`, which are read once. Yields some texts and the logits
    (texts, vocabulary) after what each of them fed; the caller then sets what each feeds next."""
    session = engine.session(min(TOGETHER, len(texts)))
    session.extend(start, [])
    for slot in range(1, len(session.ids)):
        session.fork(0, slot)
    waiting, running = list(texts)[::-1], dict[int, T]()
    while waiting or running:
        for slot in range(len(session.ids)):
            if slot not in running and waiting:
                session.reset(len(start), slot)
                running[slot] = waiting.pop()
        yield list(running.values()), session.advance({slot: text.feed for slot, text in running.items()})
        running = {slot: text for slot, text in running.items() if text.feed}
