"""A thread that runs a batch, for callers in other threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bitwright.engine.job import Ending

if TYPE_CHECKING:
    from bitwright.engine.batch import Batch
    from bitwright.engine.job import Job


log = logging.getLogger(__name__)


class Worker(threading.Thread):
    """Runs the steps of a batch while it has jobs, and sleeps while it has none."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(name="bitwright-batch", daemon=True)
        self.batch = batch
        self._added: list[Job] = []
        self._wake = threading.Condition()
        self._closing = self._draining = False

    @property
    def load(self) -> tuple[int, int]:
        """How many jobs are running, and how many wait."""
        with self._wake:
            return len(self.batch.running), len(self.batch.waiting) + len(self._added)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Begin jobs when there is room for them. Raises Ending once the worker is closing."""
        with self._wake:
            if self._closing or self._draining:
                raise Ending
            self._added += jobs
            self._wake.notify()

    def close(self, drain: float = 0) -> None:
        """End the thread, after at most `drain` seconds for the jobs that it has."""
        with self._wake:
            self._draining = True
            self._wake.notify()
        if drain:
            self.join(drain)
        with self._wake:
            self._closing = True
            self._wake.notify()
        self.join()

    def run(self) -> None:
        """Run steps until closed."""
        idle = False
        while True:
            with self._wake:
                while idle and not (self._added or self._closing or self._draining):
                    self._wake.wait()
                for job in self._added:
                    self.batch.add(job)
                self._added.clear()
                if self._closing or (self._draining and idle):
                    break
            try:
                idle = not self.batch.step()
            except Exception as error:  # memory ran out: those at work are told, and later ones may fit
                log.exception("a step failed")
                self.batch.cancel_all(error)
        self.batch.close()
