"""Progress of work in several stages, as one bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitwright.measure.perplexity import Progress


class Stages:
    """`count` stages, each an equal share of `progress`, which may be None."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self._progress, self._count, self._begun = progress, count, 0

    def next(self, name: str) -> Progress:
        """The progress of the next stage, whose name goes before its notes."""
        before, self._begun = self._begun, self._begun + 1

        def report(done: float, total: float, note: str = "") -> None:
            if self._progress:
                self._progress(before + done / max(total, 1), self._count, name)

        return report
