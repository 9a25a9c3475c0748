"""One answer: tokens are drawn by the thread of the batch and arrive here as text, piece by piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright.engine.generate import Stopping
from bitwright.engine.job import Job
from bitwright.engine.penalties import Penalties
from bitwright.engine.sampler import Sampler
from bitwright.errors import UsageError
from bitwright.server.lines import Lines

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.engine.constraint import Constraint
    from bitwright.model.replies import Reply
    from bitwright.model.tokenizer import Tokenizer

Float32 = NDArray[np.float32]


class Drawn(NamedTuple):
    """A token: its log-probability by the model, before any sampling option, and the likeliest ones there."""

    id: int
    logprob: float
    top: list[tuple[int, float]]


class Piece(NamedTuple):
    """Text that may be shown, and the tokens drawn since the last piece. Either may be empty."""

    text: str
    tokens: list[Drawn]


@dataclass
class Settings:
    """How an answer is drawn. limit: its most tokens (None: as many as fit). stop: strings that end it. ends: tokens
    that do. top: how many of the likeliest tokens are reported with each, None for no log-probabilities at all.
    constraint: what may be written; it begins after the text `constrained_after`. reply: a parser of this answer that
    may find it complete. lines: what ends it at the end of a line."""

    sampler: Sampler = field(default_factory=Sampler)
    penalties: Penalties = field(default_factory=Penalties)
    limit: int | None = None
    stop: Sequence[str] = ()
    ends: frozenset[int] = frozenset()
    top: int | None = None
    constraint: Constraint | None = None
    constrained_after: str | None = None
    kept: frozenset[int] = frozenset()
    reply: Reply | None = None
    lines: Lines = field(default_factory=Lines)


class Generation(Job):
    """An answer being written. `reason` it ended, once it has: stop, length, or cancelled; `stopped_by` the stop
    string, if one did."""

    def __init__(
        self, ids: Sequence[int], settings: Settings, tokenizer: Tokenizer, owner: str = "", marks: Sequence[int] = ()
    ) -> None:
        super().__init__(ids, owner, marks)
        self.settings = settings
        self.drawn: list[int] = []
        self.reason = "cancelled"
        self.created = time.monotonic()
        self.first: float | None = None  # when the first token was drawn
        self.last = self.created
        self._stopping = Stopping(settings.stop)
        self._stream = tokenizer.stream(continuing=True, kept=settings.kept)
        self._recent, self._seen = [*ids], ""
        self._coming = settings.constraint.copy() if settings.constraint is not None else None
        self._constraint = None if settings.constrained_after else self._coming
        self._queue: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    @property
    def stopped_by(self) -> str | None:
        """The stop string that ended the answer, if one did."""
        return self._stopping.found

    @property
    def reading(self) -> float:
        """Seconds until the first token was drawn."""
        return (self.last if self.first is None else self.first) - self.created

    @property
    def writing(self) -> float:
        """Seconds from the first token to the last."""
        return 0.0 if self.first is None else self.last - self.first

    async def pieces(self) -> AsyncIterator[Piece]:
        """The answer as it comes. Ends it when the caller stops asking. Raises what went wrong."""
        try:
            while (found := await self._queue.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            self.cancelled = True

    def next(self, logits: Float32) -> int | None:
        """Draw a token, hand its text on, and say whether the text goes on."""
        settings, raw = self.settings, logits
        if settings.limit == 0:
            self.reason = "length"
            self.first = self.last = time.monotonic()
            return None
        changes = settings.penalties.any or self._constraint is not None
        logits = logits.copy() if changes else logits
        if settings.penalties.any:
            settings.penalties.apply(logits, self._recent)
        if self._constraint is not None:
            self._constraint.allowed(logits)
        id = settings.sampler(logits)
        self.last = time.monotonic()
        if self.first is None:
            self.first = self.last
        if id in settings.ends:
            self.reason = "stop"
            return None
        self.drawn.append(id)
        self._recent.append(id)
        text = self._stream.feed(id)
        shown = settings.lines.feed(self._stopping.feed(text), self.writing)
        self._deliver(Piece(shown, [] if settings.top is None else [report(raw, id, settings.top)]))
        if self._stopping.found is not None or self._is_complete(id, text):
            self.reason = "stop"
            return None
        self.reason = "length"
        full = settings.limit is not None and len(self.drawn) >= settings.limit
        return None if full or settings.lines.ended else id

    def ended(self, error: BaseException | None) -> None:
        """Hand on what was held back, and the end."""
        if error is None and not self.settings.lines.ended:
            rest = self._stream.finish() if self._stopping.found is None else ""
            shown = self.settings.lines.feed(self._stopping.feed(rest) + self._stopping.finish(), 0)
            self._deliver(Piece(shown + self.settings.lines.finish(), []))
        if error is None and self.cancelled:
            self.reason = "cancelled"
        self._deliver(error)

    def _is_complete(self, id: int, text: str) -> bool:
        """Whether nothing more may follow this token: the reply is complete, or the constraint allows nothing."""
        if (reply := self.settings.reply) is not None:
            reply.feed(text)
            if reply.complete:
                return True
        if self._constraint is not None:
            self._constraint.accept(id)
            return bool(self._constraint.finished)
        if self._coming is not None and self.settings.constrained_after:
            self._seen += text
            if self.settings.constrained_after in self._seen:
                self._constraint = self._coming
        return False

    def _deliver(self, what: Piece | BaseException | None) -> None:
        if isinstance(what, Piece) and not (what.text or what.tokens):
            return
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, what)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self.cancelled = True


def report(logits: Float32, id: int, top: int) -> Drawn:
    """A token's log-probability, and the `top` likeliest ids with theirs."""
    logprobs = log_softmax(logits)
    likeliest = np.argpartition(-logits, top)[:top] if 0 < top < len(logits) else np.arange(len(logits))[: top or 0]
    likeliest = likeliest[np.argsort(-logits[likeliest], kind="stable")]
    return Drawn(id, float(logprobs[id]), [(int(i), float(logprobs[i])) for i in likeliest])


def log_softmax(logits: Float32) -> NDArray[np.float64]:
    """Natural logarithms of the probabilities that logits (..., vocabulary) mean."""
    shifted = logits - logits.max(-1, keepdims=True).astype(np.float64)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def recommended(engine: Engine) -> dict[str, Any]:
    """The sampling options that a model's file recommends."""
    found: dict[str, Any] = {}
    for option, key in (("temperature", "temp"), ("top_k", "top_k"), ("top_p", "top_p"), ("min_p", "min_p")):
        value = engine.model.metadata.get(f"general.sampling.{key}")
        if isinstance(value, (int, float)):
            found[option] = value
    try:
        Sampler(**found)
    except UsageError:  # a file from a stranger
        return {}
    return found
