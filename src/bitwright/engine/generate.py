"""Generating text: token after token, until the model ends, a limit is reached, or a stop string appears."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from bitwright.engine.sampler import Sampler
from bitwright.errors import UsageError
from bitwright.model.marks import begun, first

if TYPE_CHECKING:
    from bitwright.engine.session import Session
    from bitwright.model.tokenizer import TextStream, Tokenizer


def generate(
    session: Session,
    ids: Sequence[int],
    sampler: Sampler | None = None,
    max_tokens: int | None = None,
    stop: Iterable[int] | None = None,
) -> Iterator[int]:
    """Read `ids` into the session and yield the tokens that follow, each as soon as it is drawn.

    Ends before a token of `stop` (default: the model's end-of-text tokens), after `max_tokens`, or when the context is
    full. Without a sampler the likeliest token is taken. A token is read back into the session only when the next one
    is requested, so `session.position` lags one behind the tokens yielded.
    """
    if max_tokens is not None and max_tokens < 0:
        raise UsageError(f"max_tokens must be 0 or more, got {max_tokens}")
    ends = frozenset(session.model.tokenizer.end_of_generation if stop is None else stop)
    choose = sampler or Sampler(temperature=0)
    room = session.context - session.position - len(ids) + 1
    limit = room if max_tokens is None else min(max_tokens, room)
    logits = session.prefill(ids)
    for count in range(1, limit + 1):
        token = choose(logits)
        if token in ends:
            return
        yield token
        if count < limit:
            logits = session.step(token)


def text_of(tokens: Iterable[int], tokenizer: Tokenizer, stop: Sequence[str] = ()) -> Iterator[str]:
    """The text of `tokens` in pieces as they come, ending before the first of the strings `stop`.

    A piece that might begin a stop string is held back until that is clear. The pieces continue other text, so the
    first keeps its leading space.
    """
    stream, stopping = tokenizer.stream(continuing=True), Stopping(stop)
    for piece in _pieces(tokens, stream):
        yield from filter(None, [stopping.feed(piece)])
        if stopping.found is not None:
            return
    yield from filter(None, [stopping.finish()])


class Stopping:
    """Lets text through up to the first of the strings `stop`, which is then `found`. UsageError for an empty one."""

    def __init__(self, stop: Sequence[str]) -> None:
        if "" in stop:
            raise UsageError("a stop string must not be empty")
        self.stop, self._held = stop, ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """What may be shown now that `text` has come; what might begin a stop string is held back."""
        self._held += text
        at, found = first(self._held, self.stop)
        if found:
            self.found, shown, self._held = found, self._held[:at], ""
            return shown
        safe = len(self._held) - max((begun(self._held, s) for s in self.stop), default=0)
        shown, self._held = self._held[:safe], self._held[safe:]
        return shown

    def finish(self) -> str:
        """The rest, when no more text comes."""
        shown, self._held = self._held, ""
        return shown


def _pieces(tokens: Iterable[int], stream: TextStream) -> Iterator[str]:
    for token in tokens:
        yield stream.feed(token)
    yield stream.finish()
