"""OpenAI's legacy completions: text that goes on, with `suffix`, `echo` and `logprobs`, so that stock clients of
evaluation harnesses can score with it (https://platform.openai.com/docs/api-reference/completions)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import accumulate
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitwright.server import http
from bitwright.server.answers import collected, merged, timings
from bitwright.server.chat import envelope
from bitwright.server.errors import Refused, invalid
from bitwright.server.generation import Drawn, Generation
from bitwright.server.parameters import OpenAI, wanted
from bitwright.server.prompts import Texts, check_number, encoded
from bitwright.server.scoring import Scored
from bitwright.server.service import Service

DEFAULT_TOKENS = 16  # as OpenAI has it


class Completion(OpenAI):
    """Texts to continue: one or several, as text or as ids."""

    prompt: Texts = ""
    suffix: str | None = None
    echo: bool | None = False
    logprobs: Annotated[int, Field(ge=0, le=100)] | bool | None = None
    max_tokens: Annotated[int, Field(ge=-1)] | None = DEFAULT_TOKENS


@http.reads(Completion)
async def completions(service: Service, request: Request, asked: Completion) -> Response:
    """POST /v1/completions. Continues texts (OpenAI)."""
    prompts = await read(service, asked)
    check_number(prompts, asked.n or 1)
    if asked.echo and (asked.stream or asked.suffix):
        raise invalid("echo works with neither stream nor suffix")
    constraint = await service.constraint(wanted(asked.response_format), asked.grammar)
    top = None if asked.logprobs is None or asked.logprobs is False else int(asked.logprobs)
    generations: list[Generation] = []
    for ids in prompts:
        for index in range(asked.n or 1):
            settings = service.settings(asked, asked.max_tokens, index)
            settings.top = top
            settings.constraint = constraint
            kind = Scored if asked.echo and top is not None else Generation
            generations.append(kind(ids, settings, service.tokenizer, http.owner(request, asked.user)))
    service.begin(generations)
    if asked.stream:
        return http.events(stream(service, asked, generations), Refused.openai)
    return await http.unless_gone(request, whole(service, asked, generations))


async def read(service: Service, asked: Completion) -> list[list[int]]:
    """The ids of each prompt. Refused if they are not the model's, or there is no way to fill a gap."""
    if not asked.suffix:
        return await encoded(service, asked.prompt, "prompt")
    given = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    texts = [own for own in given if isinstance(own, str)]
    if not texts or len(texts) < len(given):
        raise invalid("suffix needs a prompt of text")
    return [await service.gap(own, asked.suffix) for own in texts]


async def whole(service: Service, asked: Completion, generations: list[Generation]) -> Response:
    """The completions in one piece."""
    texts, drawn = await collected(service, generations)
    choices = []
    for index, own in enumerate(generations):
        scored = own.scored_tokens if isinstance(own, Scored) else []
        choice: dict[str, Any] = {"index": index, "text": texts[index], "finish_reason": own.reason, "logprobs": None}
        if asked.echo:
            choice["text"] = service.tokenizer.decode(own.ids, skip_special=True) + texts[index]
        if own.settings.top is not None:
            before = list(zip(own.ids, scored, strict=False))
            choice["logprobs"] = logprobs(service, [*before, *((token.id, token) for token in drawn[index])])
        choices.append(choice)
    frame = envelope(service, "text_completion")
    counted = counts(generations, asked.n or 1)
    return JSONResponse({**frame, "choices": choices, "usage": counted, "timings": timings(generations[0])})


def counts(generations: Sequence[Generation], n: int) -> dict[str, Any]:
    """Tokens; the answers to one prompt share it."""
    read, written = sum(len(own.ids) for own in generations[::n]), sum(len(own.drawn) for own in generations)
    cached = sum(own.cached for own in generations[::n])
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": cached}}  # fmt: skip


def logprobs(service: Service, tokens: Sequence[tuple[int, Drawn | None]], start: int = 0) -> dict[str, Any]:
    """Log-probabilities as completions have them, of tokens that begin `start` characters into the text; the first
    token of a text has none."""

    def text(id: int) -> str:
        return service.tokenizer.decode([id], skip_special=True)

    texts = [text(id) for id, _ in tokens]
    return {
        "tokens": texts,
        "token_logprobs": [own and own.logprob for _, own in tokens],
        "top_logprobs": [own and {text(id): value for id, value in reversed(own.top)} for _, own in tokens],
        "text_offset": [*accumulate(map(len, texts), initial=start)][: len(texts)],
    }


async def stream(service: Service, asked: Completion, generations: list[Generation]) -> AsyncIterator[dict[str, Any]]:
    """The completions as chunks."""
    frame, written = envelope(service, "text_completion"), [0] * len(generations)
    async for index, piece in merged(service, generations):
        own = generations[index]
        choice: dict[str, Any] = {"index": index, "text": piece.text if piece else "", "finish_reason": None}
        choice["logprobs"] = None
        if piece is None:
            choice["finish_reason"] = own.reason
        elif piece.tokens:
            choice["logprobs"] = logprobs(service, [(token.id, token) for token in piece.tokens], written[index])
            written[index] += sum(map(len, choice["logprobs"]["tokens"]))
        yield {**frame, "choices": [choice]}
    if asked.includes_usage:
        yield {**frame, "choices": [], "usage": counts(generations, asked.n or 1), "timings": timings(generations[0])}
