"""A conversation with a model: its chat template, a cache kept from turn to turn, answers piece by piece."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bitwright.engine.slots import common
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine import Engine, Sampler, Session


@dataclass
class Answer:
    """One answer. `stopped`: stop (the model ended it), length (as many tokens as requested), context (no room left) or
    interrupted."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    ids: list[int] = field(default_factory=list)
    text: str = ""
    stopped: str = "interrupted"
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def decode_rate(self) -> float | None:
        """Tokens per second after the first; None if only one came."""
        return (len(self.ids) - 1) / self.decode_seconds if len(self.ids) > 1 else None


class Opening(threading.Thread):
    """Opens a session in a thread. Packing weights leaves the interpreter free: meanwhile the caller imports what the
    chat template needs, and turns the question into ids."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine, self._found = engine, list["Session"]()
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Open the session; what fails is raised by `session`."""
        try:
            self._found.append(self._engine.session())
        except BaseException as error:
            self._error = error

    def session(self) -> Session:
        """The session, once it is open."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._found[0]


class Conversation:
    """Messages so far, and the session that has read them."""

    def __init__(self, engine: Engine, sampler: Sampler, system: str | None = None, raw: bool = False) -> None:
        self.engine, self.sampler = engine, sampler
        self.raw = raw or engine.chat_template is None
        self.messages: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []
        self._opening = Opening(engine)

    @property
    def session(self) -> Session:
        """The session that has read the messages. Waits until it is open; raises what opening raised."""
        return self._opening.session()

    def ask(self, text: str, max_tokens: int | None, answer: Answer) -> Iterator[str]:
        """Yield the answer to `text` in pieces, filling `answer`; raises UsageError if the context is too small."""
        self.messages.append({"role": "user", "content": text})
        try:
            yield from self._generate(self._prompt(text), max_tokens, answer)
        finally:
            self.messages.append({"role": "assistant", "content": answer.text})

    def clear(self) -> None:
        """Forget everything but the system message."""
        self.messages = [m for m in self.messages if m["role"] == "system"]

    def instruct(self, system: str) -> None:
        """Set the system message; an empty one removes it. The conversation stays."""
        rest = [m for m in self.messages if m["role"] != "system"]
        self.messages = ([{"role": "system", "content": system}] if system else []) + rest

    def forget_last(self) -> None:
        """Take back the last question and its answer."""
        del self.messages[-2:]

    def _prompt(self, text: str) -> list[int]:
        tokenizer = self.engine.tokenizer
        if self.raw:
            return tokenizer.encode(text, add_special_tokens=True)
        assert self.engine.chat_template is not None
        return self.engine.chat_template.encode(tokenizer, self.messages)

    def _generate(self, ids: list[int], max_tokens: int | None, answer: Answer) -> Iterator[str]:
        from bitwright.engine import generate

        context = self.engine.context
        if len(ids) >= context:
            raise UsageError(f"the prompt has {len(ids)} tokens, the context {context}: shorten it or raise -c")
        kept = self._keep_common_prefix(ids)
        answer.prompt_tokens, answer.cached_tokens = len(ids), kept
        room = context - len(ids) + 1  # the last token is never read back
        limit = room if max_tokens is None else min(room, max_tokens)
        decoder = self.engine.tokenizer.stream(continuing=self.raw)
        last = started = time.monotonic()
        answer.stopped = "stop"
        try:
            for token in generate(self.session, ids[kept:], self.sampler, limit):
                now = time.monotonic()
                if not answer.ids:
                    answer.prefill_seconds = now - started
                else:
                    answer.decode_seconds += now - last
                last = now
                answer.ids.append(token)
                piece = decoder.feed(token)
                answer.text += piece
                yield piece
            else:
                if len(answer.ids) == limit:
                    answer.stopped = "context" if limit == room else "length"
        except KeyboardInterrupt:
            answer.stopped = "interrupted"
            raise
        rest = decoder.finish()
        answer.text += rest
        yield rest

    def _keep_common_prefix(self, ids: list[int]) -> int:
        """Drop from the session what differs from `ids`; keep at least one id unread, so that reading gives logits."""
        read = self.session.ids[0]
        kept = min(common(read, ids), len(ids) - 1)
        self.session.reset(keep=kept)
        return kept
