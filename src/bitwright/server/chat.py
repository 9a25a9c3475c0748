"""OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat), with llama.cpp's additions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitwright.model.replies import Arguments, Call, Part, Reasoning, Reply, Text
from bitwright.server import http
from bitwright.server.answers import Answer, Block, logprobs, merged, new_id, timings, usage
from bitwright.server.errors import Refused
from bitwright.server.generation import Drawn, Generation
from bitwright.server.parameters import MOST_TOP, Body, OpenAI
from bitwright.server.prompts import MOST_TOOLS, Called, Choice, Messages, Tools, Turn, effort
from bitwright.server.service import Service


class Function(Body):
    """The name of a tool that must be called."""

    name: str


class ToolChoice(Body):
    """The tool that must be called, once."""

    type: Literal["function"] = "function"
    function: Function


class Allowed(Body):
    """Tools that may be called, or of which one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolChoice], Field(max_length=MOST_TOOLS)]


class AllowedTools(Body):
    """Some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: Allowed


class Chat(OpenAI):
    """A conversation to continue."""

    messages: Messages
    tools: Tools | None = None
    tool_choice: Called | ToolChoice | AllowedTools | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=-1)] | None = None
    logprobs: bool | None = False
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_TOP)] | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None


@http.reads(Chat)
async def chat(service: Service, request: Request, asked: Chat) -> Response:
    """POST /v1/chat/completions. Continues a conversation (OpenAI)."""
    turn = await Turn.of(service, asked.messages, asked.tools, choice(asked), template_variables(asked))
    constraint = await turn.constraint(asked.response_format, asked.grammar)
    limit = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    generations = []
    for index in range(asked.n or 1):
        settings = service.settings(asked, limit, index)
        settings.top = (asked.top_logprobs or 0) if asked.logprobs else None
        generations.append(turn.generation(settings, constraint, http.owner(request, asked.user)))
    service.begin(generations)
    replies = [turn.reply() for _ in generations]
    if asked.stream:
        return http.events(stream(service, asked, generations, replies), Refused.openai)
    return await http.unless_gone(request, whole(service, asked, generations, replies))


def choice(asked: Chat) -> Choice:
    """Which tools the answer calls."""
    if isinstance(asked.tool_choice, ToolChoice):
        return Choice("required", [asked.tool_choice.function.name], single=True)
    single = asked.parallel_tool_calls is False
    if isinstance(asked.tool_choice, AllowedTools):
        allowed = asked.tool_choice.allowed_tools
        return Choice(allowed.mode, [tool.function.name for tool in allowed.tools], single)
    return Choice(asked.tool_choice or "auto", single=single)


def template_variables(asked: Chat) -> dict[str, Any]:
    """What the template is told besides the conversation."""
    return {**effort(asked.reasoning_effort), **(asked.chat_template_kwargs or {})}


async def whole(service: Service, asked: Chat, generations: list[Generation], replies: list[Reply]) -> Response:
    """The answers in one piece."""
    answers, drawn = [Answer() for _ in generations], [list[Drawn]() for _ in generations]
    async for index, piece in merged(service, generations):
        answers[index].add(replies[index].finish() if piece is None else replies[index].feed(piece.text))
        drawn[index] += () if piece is None else piece.tokens
    choices = [
        {
            "index": index,
            "message": message(answer),
            "finish_reason": finish_reason(own, bool(answer.calls)),
            "logprobs": {"content": logprobs(service.tokenizer, drawn[index])} if asked.logprobs else None,
        }
        for index, (own, answer) in enumerate(zip(generations, answers, strict=True))
    ]
    frame = envelope(service, "chat.completion")
    return JSONResponse({**frame, "choices": choices, "usage": usage(generations), "timings": timings(generations[0])})


def envelope(service: Service, kind: str) -> dict[str, Any]:
    """What every answer or chunk says about itself."""
    return {"id": new_id("chatcmpl" if kind.startswith("chat") else "cmpl"), "object": kind,
            "created": int(time.time()), "model": service.name, "system_fingerprint": service.fingerprint}  # fmt: skip


def message(answer: Answer) -> dict[str, Any]:
    """An answer as a message of an assistant."""
    found: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if answer.calls else "")}
    if answer.reasoning:
        found["reasoning_content"] = answer.reasoning
    if answer.calls:
        found["tool_calls"] = [tool_call(call) for call in answer.calls]
    return found


def tool_call(call: Block) -> dict[str, Any]:
    """A call as OpenAI writes it."""
    return {"id": f"call_{call.id}", "type": "function", "function": {"name": call.name, "arguments": call.text}}


def finish_reason(own: Generation, called: bool) -> str:
    """Why an answer ended."""
    return "tool_calls" if called and own.reason == "stop" else own.reason


async def stream(
    service: Service, asked: Chat, generations: list[Generation], replies: list[Reply]
) -> AsyncIterator[dict[str, Any]]:
    """The answers as chunks."""
    frame = envelope(service, "chat.completion.chunk")

    def chunk(index: int, delta: Mapping[str, Any], reason: str | None = None, drawn: Sequence[Drawn] = ()) -> Any:
        found = {"index": index, "delta": delta, "finish_reason": reason}
        if drawn:
            found["logprobs"] = {"content": logprobs(service.tokenizer, drawn)}
        return {**frame, "choices": [found]}

    for index in range(len(generations)):
        yield chunk(index, {"role": "assistant", "content": None})
    answers = [Answer() for _ in generations]
    async for index, piece in merged(service, generations):
        parts = replies[index].finish() if piece is None else replies[index].feed(piece.text)
        answers[index].add(parts)
        drawn = [] if piece is None else piece.tokens
        for part in parts or ([Text("")] if drawn else []):
            yield chunk(index, delta(part, answers[index]), drawn=drawn)
            drawn = []
        if piece is None:
            yield chunk(index, {}, finish_reason(generations[index], bool(answers[index].calls)))
    if asked.includes_usage:
        yield {**frame, "choices": [], "usage": usage(generations), "timings": timings(generations[0])}


def delta(part: Part, answer: Answer) -> dict[str, Any]:
    """A part as what is new in a message."""
    match part:
        case Reasoning(text):
            return {"reasoning_content": text}
        case Call(index, name):
            own = tool_call(Block("call", name, id=answer.calls[index].id))
            return {"tool_calls": [{"index": index, **own}]}
        case Arguments(index, text):
            return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
    return {"content": part.text}
