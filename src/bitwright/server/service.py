"""A model that answers requests: prompts, settings and generations, whatever interface they come through."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray

import bitwright
from bitwright.engine import Engine, Sampler
from bitwright.engine.batch import Batch
from bitwright.engine.draft import Draft
from bitwright.engine.embedding import Embedder
from bitwright.engine.penalties import Penalties
from bitwright.engine.slots import common
from bitwright.engine.speculation import Repeats, Speculation
from bitwright.engine.stored import Prefixes
from bitwright.engine.worker import Worker
from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.model.replies import reply_format
from bitwright.server.errors import busy, invalid, too_long, unsupported
from bitwright.server.gaps import Gaps
from bitwright.server.generation import Generation, Settings, recommended
from bitwright.server.history import History
from bitwright.server.parameters import Drawing

if TYPE_CHECKING:
    from bitwright.engine.constraint import Constraint

KEPT = 16  # earlier texts that memory may hold besides those being written
QUEUE = 64  # requests that may wait
THREADS = 4  # texts, templates and schemas that are worked on at the same time, besides the model
MOST_BIAS = 1_000_000  # of a logit, which is far beyond what any model computes
TAKEN = {"self", "messages", "tools", "tokenizer", "add_generation_prompt"}  # variables of templates that are given
OPTIONS = ("temperature", "top_k", "top_p", "min_p")  # of a sampler

T = TypeVar("T")
Given = TypeVarTuple("Given")


@dataclass(frozen=True)
class Prompt:
    """A conversation as the model reads it. marks: lengths of its beginnings that later ones may share."""

    text: str
    ids: list[int]
    marks: list[int]


class Service:
    """An engine, its batch, and what requests need of them. `cache` is the most bytes of memory for earlier texts,
    `disk` the most bytes on disk, `timeout` the most seconds an answer may take. Up to `guesses` tokens are guessed at
    a time: by `draft`, a model of the same vocabulary, or from what came before in the text."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        parallel: int,
        cache: int,
        disk: int = 0,
        timeout: float = float("inf"),
        guesses: int = 0,
        draft: Engine | None = None,
    ) -> None:
        self.engine, self.name, self.parallel, self.timeout = engine, name, parallel, timeout
        self.tokenizer, self.template, self.context = engine.tokenizer, engine.chat_template, engine.context
        self.format = reply_format(None if self.template is None else self.template.source)
        self.fingerprint = f"bitwright-{bitwright.__version__}-{engine.tier}"
        self.created, self.started = int(time.time()), time.monotonic()
        session = engine.session(parallel + KEPT)
        prefixes = Prefixes(session, disk) if disk and engine.model.is_a_file else None
        self.guesses = bool(guesses) and session.memory.goes_back
        speculation: Speculation | None = None
        if self.guesses:
            speculation = Draft(engine, draft, parallel, guesses) if draft else Repeats(engine.config, guesses)
        self.worker = Worker(Batch(session, parallel, session.memory.bytes_in_use + cache, prefixes, speculation))
        self.counted = Counter[str]()
        self.spent = {"prompt": 0.0, "predicted": 0.0}  # seconds, over all answers
        self.kept = self.format.kept_ids(self.tokenizer)
        self.gaps = Gaps.of(engine.model.metadata, self.tokenizer)
        self._sampling = recommended(engine)
        self.history = History()
        self._embedder: Embedder | None = None
        self._embedding, self._threads = CapacityLimiter(1), CapacityLimiter(THREADS)

    async def threaded(self, work: Callable[[*Given], T], *given: *Given) -> T:
        """What a function returns that may take seconds and much memory, as the longest texts do: a few at a time."""
        return await to_thread.run_sync(work, *given, limiter=self._threads)

    async def prompt(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, /,
                     **variables: Any) -> Prompt:  # fmt: skip
        """A conversation through the model's template, which is told `variables` besides. Refused if it is empty or the
        template refuses it, or a variable is not for clients."""
        if taken := variables.keys() & TAKEN:
            raise invalid(f"chat_template_kwargs must not set {min(taken)!r}")
        if self.template is None:
            raise unsupported("this model has no chat template; use /v1/completions")
        if not messages:
            raise invalid("a conversation must say something: all of its messages are empty")
        return await self.threaded(self._prompt, messages, tools or None, variables)

    def _prompt(self, messages: Sequence[Mapping[str, Any]], tools: Any, variables: dict[str, Any]) -> Prompt:
        assert self.template is not None
        try:
            text = self._rendered(messages, tools=tools, **variables)
            ids = self.template.ids(self.tokenizer, text)
            marks = []
            if self.worker.batch.session.memory.forgets:
                told = {"tools": tools, "add_generation_prompt": False, **variables}
                shared = self.template.encode(self.tokenizer, messages, **told)
                marks = [n for n in (common(shared, ids),) if 0 < n < len(ids)]
        except BitwrightError as error:
            raise invalid(str(error)) from None
        return Prompt(text, ids, marks)

    def _rendered(self, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
        """A conversation through the template. If the assistant had the last word, it goes on with that, as for the
        servers of llama.cpp and Anthropic."""
        assert self.template is not None
        said = messages[-1]["content"].strip()
        if messages[-1]["role"] != "assistant" or messages[-1].get("tool_calls") or not said:
            return self.template.render(messages, **variables)
        before, found, _ = self.template.render(messages, False, **variables).rpartition(said)
        if not found:
            raise UsageError("messages: this model's template changes the assistant's words: it cannot go on with them")
        return before + found

    async def encode(self, text: str, special: bool = True, add: bool = True) -> list[int]:
        """The ids of a text. `special`: whether control tokens written in it count as such."""
        return await self.threaded(self.tokenizer.encode, text, add, special)

    async def decode(self, ids: Sequence[int], name: str) -> str:
        """The text of ids. Refused if one of them, which the field `name` holds, is no token's."""

        def decoded() -> str:
            self.check(ids, name)
            return self.tokenizer.decode(ids)

        return await self.threaded(decoded)

    def check(self, ids: Iterable[int], name: str) -> None:
        """Refused if one of `ids`, which the field `name` holds, is no token's."""
        for id in ids:
            if not 0 <= id < self.tokenizer.vocab_size:
                raise invalid(f"{name}: expected token ids below {self.tokenizer.vocab_size}, got {id}")

    async def embeddings(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """The vectors (width,) of texts; those of several requests take turns. Refused if a text is empty or too long,
        too many requests wait, or the file wants a pooling that is not supported."""
        for ids in texts:
            if not ids:
                raise invalid("input: expected texts that are not empty")
            if len(ids) > self.context:
                raise too_long(len(ids), self.context)
        if (waiting := self._embedding.statistics().tasks_waiting) >= QUEUE:
            raise busy(waiting, 1)
        async with asyncio.timeout(self.timeout):
            found = [await to_thread.run_sync(self._embedded, ids, limiter=self._embedding) for ids in texts]
        self.counted["requests"] += 1
        self.counted["embeddings"] += len(texts)
        self.counted["prompt"] += sum(map(len, texts))
        return found

    def _embedded(self, ids: Sequence[int]) -> NDArray[np.float32]:
        try:
            self._embedder = self._embedder or Embedder(self.engine)
        except UnsupportedError as error:
            raise unsupported(str(error)) from None
        return self._embedder(ids)

    async def gap(self, before: str, after: str, others: Sequence[tuple[str, str]] = ()) -> list[int]:
        """The ids of a prompt for what belongs between two texts (Gaps.prompt)."""

        def ids() -> list[int]:
            tokenizer = self.tokenizer
            first = [tokenizer.bos] if tokenizer.add_bos and tokenizer.bos is not None else []
            encode = partial(tokenizer.encode, add_special_tokens=False)
            return [*first, *self.gaps.prompt(before, after, others, self.context, encode)]

        return await self.threaded(ids)

    def settings(self, asked: Drawing, limit: int | None, seed_offset: int = 0) -> Settings:
        """How an answer is drawn. Refused if a token that is favoured or banned does not exist."""
        given = {name: value for name in OPTIONS if (value := getattr(asked, name)) is not None}
        seed = None if asked.seed is None or asked.seed < 0 else asked.seed + seed_offset
        penalties = Penalties(asked.repeat_penalty, asked.frequency_penalty or 0.0, asked.presence_penalty or 0.0,
                              asked.repeat_last_n, self._bias(asked))  # fmt: skip
        ends = frozenset[int]() if asked.ignore_eos else self.tokenizer.end_of_generation
        limit = None if limit is None or limit < 0 else limit
        return Settings(Sampler(**{**self._sampling, **given}, seed=seed), penalties, limit, asked.stops, ends)

    def _bias(self, asked: Drawing) -> dict[int, float]:
        pairs = asked.logit_bias.items() if isinstance(asked.logit_bias, dict) else asked.logit_bias or []
        found = {}
        for id, value in pairs:
            if not str(id).isdecimal() or int(id) >= self.tokenizer.vocab_size:
                raise invalid(f"logit_bias: expected token ids below {self.tokenizer.vocab_size}, got {str(id)[:40]!r}")
            if abs(value) > MOST_BIAS:
                raise invalid(f"logit_bias: expected numbers from -{MOST_BIAS} to {MOST_BIAS}, got {value}")
            found[int(id)] = float("-inf") if value is False else float(value)
        return found

    async def constraint(self, schema: Any = None, grammar: str | None = None) -> Constraint | None:
        """What an answer must be: JSON of a schema, or a text of a grammar; None if it may be any text. Refused if that
        cannot be understood."""
        if schema is None and not grammar:
            return None
        from bitwright.engine.constraint import Constraint

        try:
            if schema is not None:
                return await self.threaded(Constraint.of_schema, self.tokenizer, schema)
            return await self.threaded(Constraint.of_grammar, self.tokenizer, grammar or "")
        except UsageError as error:
            raise invalid(str(error)) from None

    def begin(self, generations: Sequence[Generation]) -> None:
        """Begin answers, all of them or none. Refused if a prompt leaves no room, or too many requests wait."""
        for own in generations:
            if not own.ids:
                raise invalid("the prompt is empty")
            if len(own.ids) >= self.context:
                raise too_long(len(own.ids), self.context)
            own.deadline = time.monotonic() + self.timeout
        running, waiting = self.worker.load
        if waiting and waiting + len(generations) > QUEUE + self.parallel:
            raise busy(waiting, running)
        self.worker.submit(generations)

    @property
    def load(self) -> tuple[int, int]:
        """How many texts are at work, and how many wait."""
        (running, waiting), embedding = self.worker.load, self._embedding.statistics()
        return running + embedding.borrowed_tokens, waiting + embedding.tasks_waiting

    @property
    def memory_in_use(self) -> int:
        """Bytes of keys, values and states."""
        return self.worker.batch.session.memory.bytes_in_use

    def count(self, generation: Generation) -> None:
        """Add a finished answer to what /metrics reports."""
        self.counted["requests"] += 1
        self.counted["prompt"] += len(generation.ids) - generation.cached
        self.counted["cached"] += generation.cached
        self.counted["predicted"] += len(generation.drawn)
        self.spent["prompt"] += generation.reading
        self.spent["predicted"] += generation.writing
        self.counted["guessed"] += generation.guessed
        self.counted["guessed_right"] += generation.guessed_right
