"""What all interfaces do with answers: take them apart, count them, wait for several at once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from bitwright.model.replies import Arguments, Call, Part, Reasoning, Reply, Text
from bitwright.server.generation import Drawn, Generation, Piece

if TYPE_CHECKING:
    from bitwright.model.tokenizer import Tokenizer
    from bitwright.server.service import Service

Kind = Literal["text", "reasoning", "call"]

KINDS: dict[type[Part], Kind] = {Text: "text", Reasoning: "reasoning", Call: "call", Arguments: "call"}


def unique() -> str:
    """What nothing else is called."""
    return secrets.token_hex(12)


@dataclass
class Block:
    """A stretch of an answer: text, reasoning, or a call of the tool `name` with `text` as its arguments in JSON."""

    kind: Kind
    name: str = ""
    text: str = ""
    id: str = field(default_factory=unique)
    status: Literal["in_progress", "completed", "incomplete"] = "in_progress"


@dataclass(frozen=True)
class Change:
    """What happened to the block number `index` of an answer: it has begun, grown by `text`, or ended. `block` is
    empty when it begins, and complete when it ends."""

    kind: Literal["begun", "grown", "ended"]
    index: int
    block: Block
    text: str = ""


@dataclass
class Answer:
    """An answer put together from its parts."""

    blocks: list[Block] = field(default_factory=list)

    def add(self, parts: Iterable[Part]) -> list[Change]:
        """Add what came."""
        changes = []
        for part in parts:
            kind = KINDS[type(part)]
            if isinstance(part, Call) or not self.blocks or self.blocks[-1].kind != kind:
                changes += self.end()
                self.blocks.append(Block(kind, part.name if isinstance(part, Call) else ""))
                changes.append(Change("begun", len(self.blocks) - 1, replace(self.blocks[-1])))
            if not isinstance(part, Call):
                self.blocks[-1].text += part.text
                changes.append(Change("grown", len(self.blocks) - 1, self.blocks[-1], part.text))
        return changes

    def end(self, cut: bool = False) -> list[Change]:
        """End the latest block. `cut`: before it was complete."""
        if not self.blocks:
            return []
        self.blocks[-1].status = "incomplete" if cut else "completed"
        return [Change("ended", len(self.blocks) - 1, self.blocks[-1])]

    @property
    def text(self) -> str:
        """What it says."""
        return "".join(block.text for block in self.blocks if block.kind == "text")

    @property
    def reasoning(self) -> str:
        """What the model thought."""
        return "".join(block.text for block in self.blocks if block.kind == "reasoning")

    @property
    def calls(self) -> list[Block]:
        """The tools it calls."""
        return [block for block in self.blocks if block.kind == "call"]


async def changes(service: Service, own: Generation, reply: Reply, answer: Answer) -> AsyncIterator[Change]:
    """What happens to `answer` while it comes."""
    async for _, piece in merged(service, [own]):
        for change in answer.add(reply.finish() if piece is None else reply.feed(piece.text)):
            yield change
    for change in answer.end(own.reason == "length"):
        yield change


def new_id(prefix: str) -> str:
    """An id that nothing else has."""
    return f"{prefix}_{unique()}"


def usage(generations: Sequence[Generation]) -> dict[str, Any]:
    """Tokens, as OpenAI counts them: several answers share one prompt."""
    read, written = len(generations[0].ids), sum(len(own.drawn) for own in generations)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": generations[0].cached},
    }


def timings(own: Generation) -> dict[str, Any]:
    """How fast an answer came, under llama.cpp's names."""
    read, written = len(own.ids) - own.cached, len(own.drawn)
    found: dict[str, Any] = {"cache_n": own.cached}
    for name, count, seconds in (("prompt", read, own.reading), ("predicted", written, own.writing)):
        found |= {
            f"{name}_n": count,
            f"{name}_ms": seconds * 1e3,
            f"{name}_per_token_ms": seconds * 1e3 / count if count else 0.0,
            f"{name}_per_second": count / seconds if seconds else 0.0,
        }
    if own.guessed:
        found |= {"draft_n": own.guessed, "draft_n_accepted": own.guessed_right}
    return found


def logprobs(tokenizer: Tokenizer, drawn: Sequence[Drawn]) -> list[dict[str, Any]]:
    """Tokens with their log-probabilities, as chats and llama.cpp's completions have them."""

    def token(id: int, logprob: float) -> dict[str, Any]:
        raw = tokenizer.token_bytes(id)
        return {"id": id, "token": raw.decode("utf-8", "replace"), "bytes": list(raw), "logprob": logprob}

    return [{**token(own.id, own.logprob), "top_logprobs": [token(*other) for other in own.top]} for own in drawn]


async def merged(service: Service, generations: Sequence[Generation]) -> AsyncIterator[tuple[int, Piece | None]]:
    """Pieces of several answers as they come, each with its answer's index; None when that one is complete and was
    counted."""
    queue: asyncio.Queue[tuple[int, Piece | BaseException | None]] = asyncio.Queue()

    async def forward(index: int, own: Generation) -> None:
        try:
            async for piece in own.pieces():
                queue.put_nowait((index, piece))
            queue.put_nowait((index, None))
        except Exception as error:
            queue.put_nowait((index, error))

    tasks = [asyncio.create_task(forward(*own)) for own in enumerate(generations)]
    try:
        left = len(tasks)
        while left:
            index, found = await queue.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                left -= 1
                service.count(generations[index])
            yield index, found
    finally:
        for own in generations:
            own.cancelled = True
        for task in tasks:
            task.cancel()


async def collected(service: Service, generations: Sequence[Generation]) -> tuple[list[str], list[list[Drawn]]]:
    """The texts and the tokens of several answers, once they are complete."""
    texts, drawn = [""] * len(generations), [list[Drawn]() for _ in generations]
    async for index, piece in merged(service, generations):
        if piece is not None:
            texts[index] += piece.text
            drawn[index] += piece.tokens
    return texts, drawn
