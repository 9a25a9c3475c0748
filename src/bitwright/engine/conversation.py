"""A conversation with a model: its chat template, a cache kept from turn to turn, answers piece by piece."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bitwright.engine.slots import common
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine import Engine, Sampler, Session
    from bitwright.model.replies import Part, Reasoning, Reply, ReplyFormat, Text


@dataclass
class Answer:
    """One answer. `stopped`: stop (the model ended it), length (as many tokens as requested), context (no room left) or
    interrupted. `reasoning`: what the model thought before, if that was told apart."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    ids: list[int] = field(default_factory=list)
    text: str = ""
    reasoning: str = ""
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

    def ask(self, text: str, max_tokens: int | None, answer: Answer) -> Generator[Text | Reasoning, None, None]:
        """Yield the answer to `text` in pieces, reasoning apart, filling `answer`; raises UsageError if the context is
        too small. Later prompts have the answer without its reasoning. While a long prompt is read, empty pieces come.
        Closing the iterator stops the answer."""
        from bitwright.model.replies import Reasoning

        with self._turn(text, answer):
            prompt, (format, kept) = self._prompt(text), self._format
            for part in _parts(self._generate(self._ids(prompt), max_tokens, answer, kept), format.reply(prompt)):
                if isinstance(part, Reasoning):
                    answer.reasoning += part.text
                else:
                    answer.text += part.text
                yield part

    def clear(self) -> None:
        """Forget everything but the system message."""
        self.messages = [m for m in self.messages if m["role"] == "system"]

    def instruct(self, system: str) -> None:
        """Set the system message; an empty one removes it. The conversation stays."""
        rest = [m for m in self.messages if m["role"] != "system"]
        self.messages = ([{"role": "system", "content": system}] if system else []) + rest

    def forget_last(self) -> str | None:
        """Take back the last question and its answer; the question, or None if there is none."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            return None
        question = self.messages[-2]["content"]
        del self.messages[-2:]
        return question

    @functools.cached_property
    def _format(self) -> tuple[ReplyFormat, frozenset[int]]:
        """How the model writes reasoning, and the control tokens that it takes to read it."""
        from bitwright.model.replies import reply_format

        template = None if self.raw else self.engine.chat_template
        format = reply_format(None if template is None else template.source)
        return format, format.kept_ids(self.engine.tokenizer)

    @contextlib.contextmanager
    def _turn(self, text: str, answer: Answer) -> Iterator[None]:
        """The question `text`, and what of the answer came."""
        self.messages.append({"role": "user", "content": text})
        try:
            yield
        finally:
            self.messages.append({"role": "assistant", "content": answer.text})

    def _prompt(self, text: str) -> str:
        if self.raw:
            return text
        assert self.engine.chat_template is not None
        return self.engine.chat_template.render(self.messages)

    def _ids(self, prompt: str) -> list[int]:
        tokenizer, template = self.engine.tokenizer, self.engine.chat_template
        if self.raw or template is None:
            return tokenizer.encode(prompt, add_special_tokens=True)
        return template.ids(tokenizer, prompt)

    def _generate(self, ids: list[int], max_tokens: int | None, answer: Answer, kept: frozenset[int]) -> Iterator[str]:
        from bitwright.engine import generate

        context = self.engine.context
        if len(ids) >= context:
            raise UsageError(f"the prompt has {len(ids)} tokens, the context {context}: shorten it or raise -c")
        session, start = self.session, self._keep_common_prefix(ids)
        answer.prompt_tokens, answer.cached_tokens = len(ids), start
        room = context - len(ids) + 1  # the last token is never read back
        limit = room if max_tokens is None else min(room, max_tokens)
        decoder = self.engine.tokenizer.stream(continuing=self.raw, kept=kept)
        last = started = time.monotonic()
        answer.stopped = "stop"
        try:
            while len(ids) - start > session.batch:
                session.extend(ids[start : start + session.batch], [])
                start += session.batch
                yield ""
            for token in generate(session, ids[start:], self.sampler, limit):
                now = time.monotonic()
                if not answer.ids:
                    answer.prefill_seconds = now - started
                else:
                    answer.decode_seconds += now - last
                last = now
                answer.ids.append(token)
                yield decoder.feed(token)
            else:
                if len(answer.ids) == limit:
                    answer.stopped = "context" if limit == room else "length"
        except (KeyboardInterrupt, GeneratorExit):
            answer.stopped = "interrupted"
            raise
        yield decoder.finish()

    def _keep_common_prefix(self, ids: list[int]) -> int:
        """Drop from the session what differs from `ids`; keep at least one id unread, so that reading gives logits."""
        read = self.session.ids[0]
        kept = min(common(read, ids), len(ids) - 1)
        self.session.reset(keep=kept)
        return kept


def _parts(pieces: Iterator[str], reply: Reply) -> Iterator[Text | Reasoning]:
    """What `reply` makes of the pieces, an empty text if that is nothing yet."""
    from bitwright.model.replies import Reasoning, Text

    def own(parts: list[Part]) -> list[Text | Reasoning]:
        return [part for part in parts if isinstance(part, Text | Reasoning)]  # without tools there are no calls

    for piece in pieces:
        yield from own(reply.feed(piece)) or [Text("")]
    yield from own(reply.finish())
