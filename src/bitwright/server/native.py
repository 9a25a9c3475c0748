"""llama.cpp's own interface: completions, tokens, templates
(llama.cpp, tools/server/README.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitwright.server import http
from bitwright.server.answers import collected, logprobs, merged, timings
from bitwright.server.errors import Refused
from bitwright.server.generation import Generation
from bitwright.server.lines import Lines
from bitwright.server.parameters import MOST_CHOICES, MOST_TOP, Body, Drawing, Schema
from bitwright.server.prompts import Message, Tool, check_number
from bitwright.server.service import Service

Mixed = list[str | int]  # texts and ids in turns


class Completion(Drawing):
    """A text to continue: text, ids, or both in turns; or several of these."""

    prompt: str | list[str | int | Mixed] = ""
    n_predict: Annotated[int, Field(ge=-1)] = -1
    n_probs: Annotated[int, Field(ge=0, le=MOST_TOP)] = 0
    n_cmpl: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    stream: bool = False
    json_schema: Schema | None = None
    grammar: str | None = None
    return_tokens: bool = False
    n_indent: Annotated[int, Field(ge=0, le=1024)] = 0
    t_max_predict_ms: Annotated[float, Field(ge=-1)] = -1


@http.reads(Completion)
async def completion(service: Service, request: Request, asked: Completion) -> Response:
    """POST /completion. Continues a text (llama.cpp)."""
    found = prompts(asked.prompt)
    check_number(found, asked.n_cmpl)
    return await answer(service, request, asked, [await mixed(service, own) for own in found])


def prompts(given: str | list[str | int | Mixed]) -> list[Mixed]:
    """The prompts: a list is one if it holds ids, and one for each of its elements otherwise, as for llama.cpp."""
    if isinstance(given, str):
        return [[given]]
    one = [own for own in given if not isinstance(own, list)]
    if len(one) == len(given) and not all(isinstance(own, str) for own in one):
        return [one]
    return [own if isinstance(own, list) else [own] for own in given] or [[]]


async def mixed(service: Service, prompt: Mixed) -> list[int]:
    """The ids of a prompt of texts and ids."""
    ids: list[int] = []
    for own in prompt:
        if isinstance(own, str):
            ids += await service.encode(own, add=not ids)
        else:
            service.check([own], "prompt")
            ids.append(own)
    return ids


async def answer(service: Service, request: Request, asked: Completion, prompts: Sequence[list[int]]) -> Response:
    """Continue prompts, as often as is asked for."""
    constraint = await service.constraint(asked.json_schema, asked.grammar)
    generations = []
    for ids in prompts:
        for index in range(asked.n_cmpl):
            settings = service.settings(asked, asked.n_predict, index)
            settings.top = asked.n_probs or None
            settings.constraint = constraint
            settings.lines = Lines(asked.n_indent, asked.t_max_predict_ms / 1e3 if asked.t_max_predict_ms > 0 else inf)
            generations.append(Generation(ids, settings, service.tokenizer, http.owner(request, asked.user)))
    service.begin(generations)
    if asked.stream:
        return http.events(stream(service, asked, generations), Refused.openai, done=None)
    return await http.unless_gone(request, whole(service, asked, generations))


async def whole(service: Service, asked: Completion, generations: list[Generation]) -> Response:
    """The completions in one piece; an array if there are several."""
    texts, drawn = await collected(service, generations)
    found = []
    for index, own in enumerate(generations):
        one = {**final(service, asked, own), "content": texts[index], "index": index}
        if asked.n_probs:
            one["completion_probabilities"] = logprobs(service.tokenizer, drawn[index])
        found.append(one)
    return JSONResponse(found if len(found) > 1 else found[0])


async def stream(service: Service, asked: Completion, generations: list[Generation]) -> AsyncIterator[dict[str, Any]]:
    """The completions as chunks."""
    async for index, piece in merged(service, generations):
        own = generations[index]
        if piece is None:
            yield {**final(service, asked, own), "index": index, "content": ""}
            continue
        chunk: dict[str, Any] = {"index": index, "content": piece.text, "tokens": [], "stop": False,
                                 "tokens_predicted": len(own.drawn), "tokens_evaluated": len(own.ids)}  # fmt: skip
        if piece.tokens:
            chunk["completion_probabilities"] = logprobs(service.tokenizer, piece.tokens)
        yield chunk


def final(service: Service, asked: Completion, own: Generation) -> dict[str, Any]:
    """What is said about a completion that has ended."""
    kind = {"length": "limit", "cancelled": "none"}.get(own.reason, "word" if own.stopped_by is not None else "eos")
    return {
        "content": "", "tokens": own.drawn if asked.return_tokens else [], "stop": True, "model": service.name,
        "tokens_predicted": len(own.drawn), "tokens_evaluated": len(own.ids), "tokens_cached": own.cached,
        "generation_settings": {"n_ctx": service.context, "n_predict": asked.n_predict,
                                "temperature": own.settings.sampler.temperature, "seed": own.settings.sampler.seed},
        "has_new_line": "\n" in service.tokenizer.decode(own.drawn), "truncated": False,
        "stop_type": kind, "stopping_word": own.stopped_by or "",
        "timings": timings(own),
    }  # fmt: skip


class Tokenize(Body):
    """A text to turn into ids; vLLM's clients call it `prompt`."""

    content: str = ""
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False
    prompt: str | None = None
    add_special_tokens: bool = True


@http.reads(Tokenize)
async def tokenize(service: Service, request: Request, asked: Tokenize) -> Response:
    """POST /tokenize. Turns a text into ids."""
    if asked.prompt is not None:
        ids = await service.encode(asked.prompt, add=asked.add_special_tokens)
        return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": service.context})
    ids = await service.encode(asked.content, asked.parse_special, asked.add_special)
    if not asked.with_pieces:
        return JSONResponse({"tokens": ids})
    return JSONResponse({"tokens": [{"id": id, "piece": piece(service.tokenizer.token_bytes(id))} for id in ids]})


def piece(raw: bytes) -> str | list[int]:
    """The bytes of a token as text, or as they are if they are not UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return list(raw)


class Detokenize(Body):
    """Ids to turn into text."""

    tokens: list[int] = Field(default_factory=list)


@http.reads(Detokenize)
async def detokenize(service: Service, request: Request, asked: Detokenize) -> Response:
    """POST /detokenize. Turns ids into text, which is there twice: vLLM's clients call it `prompt`."""
    text = await service.decode(asked.tokens, "tokens")
    return JSONResponse({"content": text, "prompt": text})


async def tokenizer_info(service: Service, request: Request) -> Response:
    """GET /tokenizer_info. Tells vLLM's clients, such as lm-eval's, that /tokenize is there."""
    tokenizer = service.tokenizer
    roles = {"bos_token": tokenizer.bos, "eos_token": tokenizer.eos, "pad_token": tokenizer.padding}
    known = {name: None if id is None else tokenizer.token_text(id) for name, id in roles.items()}
    template = None if service.template is None else service.template.source
    return JSONResponse({"tokenizer_class": "Tokenizer", **known, "chat_template": template})


class Template(Body):
    """A conversation to render."""

    messages: list[Message] = Field(min_length=1)
    tools: list[Tool] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


@http.reads(Template)
async def apply_template(service: Service, request: Request, asked: Template) -> Response:
    """POST /apply-template. Renders a conversation."""
    tools = [tool.templated() for tool in asked.tools or ()]
    messages = [message.templated() for message in asked.messages]
    prompt = await service.prompt(messages, tools, **(asked.chat_template_kwargs or {}))
    return JSONResponse({"prompt": prompt.text})
