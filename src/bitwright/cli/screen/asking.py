"""An answer that is written while the screen is drawn."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue

from bitwright.model.replies import Reasoning, Text


class Asking(threading.Thread):
    """Takes pieces of an answer in a thread. error: what this raised."""

    def __init__(self, parts: Generator[Text | Reasoning, None, None]) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._parts, self._stopped, self._taken = parts, threading.Event(), SimpleQueue[Text | Reasoning]()
        self.start()

    def run(self) -> None:
        """Until the end, or until it is stopped."""
        try:
            with closing(self._parts):
                for part in self._parts:
                    self._taken.put(part)
                    if self._stopped.is_set():
                        return
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        """Stop after the token, or the batch of a long prompt, that is being read."""
        self._stopped.set()

    def taken(self) -> Iterator[Text | Reasoning]:
        """The pieces that came since."""
        while True:
            try:
                yield self._taken.get_nowait()
            except Empty:
                return
