"""What all interfaces do with answers: take them apart, count them, wait for several at once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bitwright.model.replies import Arguments, Call, Part, Reasoning, Text
from bitwright.server.generation import Drawn, Generation, Piece

if TYPE_CHECKING:
    from bitwright.model.tokenizer import Tokenizer
    from bitwright.server.service import Service


@dataclass
class CalledTool:
    """A call of a tool: its id, name, and arguments as JSON text."""

    id: str
    name: str
    arguments: str = ""


@dataclass
class Answer:
    """An answer put together from its parts."""

    text: str = ""
    reasoning: str = ""
    calls: list[CalledTool] = field(default_factory=list)

    def add(self, parts: Iterable[Part]) -> None:
        """Add what came."""
        for part in parts:
            match part:
                case Text(text):
                    self.text += text
                case Reasoning(text):
                    self.reasoning += text
                case Call(_, name):
                    self.calls.append(CalledTool(new_id("call"), name))
                case Arguments(index, text):
                    self.calls[index].arguments += text


def new_id(prefix: str) -> str:
    """An id that nothing else has."""
    return f"{prefix}_{secrets.token_hex(12)}"


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
    first = own.last if own.first is None else own.first
    read, written = len(own.ids) - own.cached, len(own.drawn)
    found: dict[str, Any] = {"cache_n": own.cached}
    for name, count, seconds in (("prompt", read, first - own.created), ("predicted", written, own.last - first)):
        found |= {
            f"{name}_n": count,
            f"{name}_ms": seconds * 1e3,
            f"{name}_per_token_ms": seconds * 1e3 / count if count else 0.0,
            f"{name}_per_second": count / seconds if seconds else 0.0,
        }
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
