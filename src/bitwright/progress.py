"""How long-running work reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

# Called with the work done, the total in the same unit (None if it is unknown), and a short note, often empty.
Progress = Callable[[float, float | None, str], object]
# Called with what is about to be done; the work reports inside the context.
Stage = Callable[[str], AbstractContextManager[Progress]]


def silent(name: str) -> AbstractContextManager[Progress]:
    """A stage that nobody watches."""
    return nullcontext(lambda done, total, note="": None)


class Stages:
    """Several stages of work as one progress: each of `count` stages is an equal share. `progress` may be None."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self._progress, self._count, self._begun = progress, count, 0

    def next(self, name: str) -> Progress:
        """The progress of the next stage; its reports carry the stage's name as their note."""
        before, self._begun = self._begun, self._begun + 1

        def report(done: float, total: float | None, note: str = "") -> None:
            if self._progress:
                self._progress(before + done / max(total or 1, 1), self._count, name)

        return report
