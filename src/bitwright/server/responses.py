"""OpenAI's responses, which Codex asks for (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitwright.model.replies import Reply
from bitwright.server import http
from bitwright.server.answers import Answer, Change, changes, new_id
from bitwright.server.errors import Refused, invalid
from bitwright.server.generation import Generation
from bitwright.server.items import ITEMS, MOST_ITEMS, Item, Said, item_id, part, spoken, written
from bitwright.server.offered import AllowedTools, Function, FunctionChoice, Namespace, OfferedTool, joined, parted
from bitwright.server.parameters import Body, Drawing, ResponseFormat
from bitwright.server.prompts import MOST_TOOLS, Called, Choice, Message, Tool, ToolFunction, Turn, effort, led
from bitwright.server.service import Service


class Format(ResponseFormat):
    """What the answer must be."""

    name: str | None = None
    strict: bool | None = None


class TextOptions(Body):
    """How the answer is written."""

    format: Format = Format()


class Reasoning(Body):
    """How much to think."""

    effort: str | None = None


class Asked(Drawing):
    """A conversation, and how it shall go on."""

    model: str | None = None
    input: str | Annotated[list[Item], Field(max_length=MOST_ITEMS)] = Field(default_factory=list)
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    store: bool | None = True
    stream: bool | None = False
    background: bool | None = False
    tools: Annotated[list[OfferedTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Called | FunctionChoice | AllowedTools | None = None
    parallel_tool_calls: bool | None = True
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    text: TextOptions = TextOptions()
    reasoning: Reasoning | None = None
    metadata: dict[str, Any] | None = None

    @property
    def items(self) -> list[Item]:
        """What is new in the conversation."""
        return [Said(role="user", content=self.input)] if isinstance(self.input, str) else self.input

    @property
    def functions(self) -> list[Function]:
        """The tools that the model gets."""
        own = [tool for tool in self.tools or () if isinstance(tool, Function)]
        grouped = ((group.name, tool) for group in self.namespaces for tool in group.tools)
        return [*own, *(tool.model_copy(update={"name": joined(name, tool.name)}) for name, tool in grouped)]

    @property
    def namespaces(self) -> list[Namespace]:
        """The groups of tools."""
        return [tool for tool in self.tools or () if isinstance(tool, Namespace)]


@http.reads(Asked)
async def responses(service: Service, request: Request, asked: Asked) -> Response:
    """POST /v1/responses. Continues a conversation, which may be kept here (OpenAI)."""
    if asked.background:
        raise invalid("background: this server writes an answer only while its client waits")
    if asked.conversation is not None:
        raise invalid("conversation: this server keeps responses alone; go on from one with previous_response_id")
    items: list[Any] = asked.items
    if asked.previous_response_id is not None:
        before = service.history.get(asked.previous_response_id)
        items = [*before.read, *before.written, *items]
    turn = await after(service, asked, items)
    constraint = await turn.constraint(asked.text.format, None)
    settings = service.settings(asked, asked.max_output_tokens)
    own = turn.generation(settings, constraint, http.owner(request, asked.user))
    service.begin([own])
    namespaces = {group.name for group in asked.namespaces}
    frame = begun(service, asked, own)
    answering = Answering(service, own, turn.reply(), frame, items if asked.store else None, namespaces)
    if asked.stream:
        return http.events(answering.stream(), Refused.openai, named=True, done=None)
    return await http.unless_gone(request, answering.whole())


async def after(service: Service, asked: Asked, items: Sequence[Item]) -> Turn:
    """The turn after a conversation."""
    messages = spoken(items)
    if not messages:
        raise invalid("input: expected at least one message")
    if asked.instructions:
        messages.insert(0, Message(role="system", content=asked.instructions))
    single = asked.parallel_tool_calls is False
    match asked.tool_choice:
        case FunctionChoice(name=name):
            choice = Choice("required", [name], single=True)
        case AllowedTools(mode=mode, tools=allowed):
            choice = Choice(mode, [tool.name for tool in allowed], single)
        case called:
            choice = Choice(called or "auto", single=single)
    tools = [Tool(function=ToolFunction.model_validate(own, from_attributes=True)) for own in asked.functions]
    told = effort(asked.reasoning.effort if asked.reasoning else None)
    return await Turn.of(service, led(messages), tools, choice, told)


def begun(service: Service, asked: Asked, own: Generation) -> dict[str, Any]:
    """A response before anything of it was written."""
    choice = asked.tool_choice or "auto"
    format = asked.text.format.model_dump(by_alias=True, exclude_none=True)
    return {
        "id": new_id("resp"), "object": "response", "created_at": int(time.time()), "model": service.name,
        "status": "in_progress", "error": None, "incomplete_details": None, "output": [], "usage": None,
        "instructions": asked.instructions, "previous_response_id": asked.previous_response_id,
        "max_output_tokens": asked.max_output_tokens, "store": bool(asked.store), "background": False,
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
        "tools": [tool.model_dump(exclude_none=True) for tool in asked.functions], "text": {"format": format},
        "reasoning": {"effort": asked.reasoning.effort if asked.reasoning else None, "summary": None},
        "temperature": own.settings.sampler.temperature, "top_p": own.settings.sampler.top_p,
        "truncation": "disabled", "metadata": asked.metadata or {}, "user": asked.user,
    }  # fmt: skip


class Answering:
    """A response being written. `frame` is what it was at the beginning; `read` are the items before it, if it is to be
    kept; `namespaces` those of functions."""

    def __init__(self, service: Service, own: Generation, reply: Reply, frame: dict[str, Any],
                 read: Sequence[Item] | None, namespaces: set[str]) -> None:  # fmt: skip
        self.service, self.own, self.frame, self.read, self.namespaces = service, own, frame, read, namespaces
        self.answer, self.number = Answer(), 0
        self.changes = changes(service, own, reply, self.answer)

    async def whole(self) -> Response:
        """The response in one piece."""
        async for _ in self.changes:
            pass
        return JSONResponse(await self.finished())

    async def stream(self) -> AsyncIterator[dict[str, Any]]:
        """The response as events."""
        for name in ("created", "in_progress"):
            yield self.event(name, response=self.frame)
        try:
            async for change in self.changes:
                for name, more in events(change, self.namespaces):
                    yield self.event(name, output_index=change.index, **more)
            final = await self.finished()
        except Exception as error:
            told = {"code": "server_error", "message": http.as_refused(error).message}
            final = {**self.frame, "status": "failed", "error": told}
        yield self.event(final["status"], response=final)

    def event(self, name: str, /, **more: Any) -> dict[str, Any]:
        """The next event."""
        self.number += 1
        return {"type": f"response.{name}", "sequence_number": self.number - 1, **more}

    async def finished(self) -> dict[str, Any]:
        """The response when all of it was written; it is kept from now on."""
        own = self.own
        thought = len(await self.service.encode(self.answer.reasoning, special=False, add=False))
        cut = own.reason == "length"
        final = {
            **self.frame,
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": [written(block, self.namespaces) for block in self.answer.blocks],
            "usage": {
                "input_tokens": len(own.ids), "input_tokens_details": {"cached_tokens": own.cached},
                "output_tokens": len(own.drawn), "output_tokens_details": {"reasoning_tokens": thought},
                "total_tokens": len(own.ids) + len(own.drawn),
            },
        }  # fmt: skip
        if self.read is not None:
            self.service.history.add(final, self.read, ITEMS.validate_python(final["output"]))
        return final


def events(change: Change, namespaces: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events for a change, by their names."""
    block = change.block
    call = block.kind == "call"
    at: dict[str, Any] = {"item_id": item_id(block)} | ({} if call else {"content_index": 0})
    name = {"text": "output_text", "reasoning": "reasoning_text", "call": "function_call_arguments"}[block.kind]
    more: dict[str, Any] = {"logprobs": []} if block.kind == "text" else {}
    match change.kind:
        case "begun":
            yield "output_item.added", {"item": written(block, namespaces)}
            if not call:
                yield "content_part.added", {**at, "part": part(block, "")}
        case "grown":
            yield f"{name}.delta", {**at, "delta": change.text, **more}
        case "ended":
            whole = {"arguments": block.text, **parted(block.name, namespaces)} if call else {"text": block.text}
            yield f"{name}.done", {**at, **whole, **more}
            if not call:
                yield "content_part.done", {**at, "part": part(block, block.text)}
            yield "output_item.done", {"item": written(block, namespaces)}
