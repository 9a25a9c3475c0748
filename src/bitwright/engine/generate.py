"""Generating text: token after token, until the model ends, a limit is reached, or a stop string appears."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from bitwright.engine.sampler import Sampler
from bitwright.errors import UsageError
from bitwright.model.replies.marks import begun

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
    if "" in stop:
        raise UsageError("a stop string must not be empty")
    stream, held = tokenizer.stream(continuing=True), ""
    for piece in _pieces(tokens, stream):
        held += piece
        found = [at for s in stop if (at := held.find(s)) >= 0]
        if found:
            yield from filter(None, [held[: min(found)]])
            return
        safe = len(held) - max((begun(held, s) for s in stop), default=0)
        if safe:
            yield held[:safe]
            held = held[safe:]
    yield from filter(None, [held])


def _pieces(tokens: Iterable[int], stream: TextStream) -> Iterator[str]:
    for token in tokens:
        yield stream.feed(token)
    yield stream.finish()
