"""One text of a batch and what is to follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BitwrightError

Float32 = NDArray[np.float32]


class Ending(BitwrightError):
    """A job ends, or is not begun, because the batch is closing."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")


class Job:
    """A text and what is to follow it. Subclasses say in `next` what happens with each token's logits.

    `ids` is the text. `owner` shares the machine fairly with other owners. `marks` are lengths of its beginnings that
    later texts may share, in ascending order. `scored`: whether `score` wants the logits after each token of the text.
    `cancelled` may be set from any thread; the job then ends at the next step, as it does when `deadline` (of
    time.monotonic) is past. All methods are called by the thread that runs the batch.
    """

    scored = False

    def __init__(self, ids: Sequence[int], owner: str = "", marks: Sequence[int] = ()) -> None:
        self.ids, self.owner, self.marks = list(ids), owner, list(marks)
        self.text = self.ids  # and what was written, if the job had to begin again
        self.began = 0  # how many jobs had begun when it first did, itself included
        self.cancelled = False
        self.deadline = float("inf")
        self.cached = 0  # tokens that were in memory already
        self.guessed = self.guessed_right = 0  # tokens

    def score(self, start: int, logits: Float32) -> None:
        """The logits (tokens, vocabulary) after the text's tokens from `start` on."""

    def next(self, logits: Float32) -> int | None:
        """The token that follows, chosen from logits (vocabulary,); None if nothing does."""
        raise NotImplementedError

    def ended(self, error: BaseException | None) -> None:
        """Nothing more comes: the text is complete, the context full, the job cancelled, or `error` happened."""


@dataclass(eq=False)
class Running:
    """A job that has a sequence. read: tokens of its text that were read. next: the token to read next, once the text
    was read."""

    job: Job
    sequence: int
    read: int
    next: int | None = None

    @property
    def stop(self) -> int:
        """Up to where the next piece of the text may go."""
        return next((mark for mark in self.job.marks if self.read < mark), len(self.job.text))
