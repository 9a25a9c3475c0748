"""Anthropic's messages, which Claude Code sends (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitwright.model.replies import Reply
from bitwright.server import http
from bitwright.server.answers import Answer, Block, Change, changes, new_id
from bitwright.server.blocks import Conversation
from bitwright.server.errors import Refused
from bitwright.server.generation import Generation
from bitwright.server.parameters import Body, Drawing, Stops
from bitwright.server.prompts import Choice, Turn, parsed
from bitwright.server.service import Service

PING = http.event({"type": "ping"}, named=True)


class Metadata(Body):
    """Who asks."""

    user_id: str | None = None


class Asked(Conversation, Drawing):
    """A conversation, and how its answer is drawn."""

    max_tokens: Annotated[int, Field(ge=0)]
    stop_sequences: Stops | None = None
    stream: bool | None = False
    metadata: Metadata | None = None

    @property
    def stops(self) -> list[str]:
        """The strings that end an answer."""
        return self.stop_sequences or []


@http.reads(Asked)
async def messages(service: Service, request: Request, asked: Asked) -> Response:
    """POST /v1/messages. Continues a conversation (Anthropic)."""
    turn = await after(service, asked)
    constraint = await turn.constraint(asked.output_config.format if asked.output_config else None, None)
    owner = http.owner(request, asked.metadata.user_id if asked.metadata else None)
    own = turn.generation(service.settings(asked, asked.max_tokens), constraint, owner)
    service.begin([own])
    if asked.stream:
        return http.events(stream(service, own, turn.reply()), Refused.anthropic, True, None, PING)
    return await http.unless_gone(request, whole(service, own, turn.reply()))


@http.reads(Conversation)
async def count_tokens(service: Service, request: Request, asked: Conversation) -> Response:
    """POST /v1/messages/count_tokens. How long a prompt is."""
    turn = await after(service, asked)
    return JSONResponse({"input_tokens": len(turn.prompt.ids)})


async def after(service: Service, asked: Conversation) -> Turn:
    """The turn after a conversation."""
    choice = asked.tool_choice.choice() if asked.tool_choice else Choice()
    return await Turn.of(service, asked.spoken(), asked.offered(), choice, asked.variables())


async def whole(service: Service, own: Generation, reply: Reply) -> Response:
    """The answer in one piece."""
    answer = Answer()
    async for _ in changes(service, own, reply, answer):
        pass
    content = [block(own) for own in answer.blocks]
    return JSONResponse({**message(service, own), "content": content, **ended(own, answer), "usage": usage(own)})


async def stream(service: Service, own: Generation, reply: Reply) -> AsyncIterator[dict[str, Any]]:
    """The answer as events."""
    answer = Answer()
    yield {"type": "message_start", "message": message(service, own)}
    async for change in changes(service, own, reply, answer):
        yield event(change)
    yield {"type": "message_delta", "delta": ended(own, answer), "usage": usage(own)}
    yield {"type": "message_stop"}


def message(service: Service, own: Generation) -> dict[str, Any]:
    """A message before anything of it was written."""
    return {"id": new_id("msg"), "type": "message", "role": "assistant", "model": service.name, "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": usage(own)}  # fmt: skip


def usage(own: Generation) -> dict[str, int]:
    """Tokens, as Anthropic counts them: those that were in memory apart. Before an answer begins, none are known to
    be."""
    return {"input_tokens": len(own.ids) - own.cached, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": own.cached, "output_tokens": len(own.drawn)}  # fmt: skip


def ended(own: Generation, answer: Answer) -> dict[str, Any]:
    """Why an answer ended."""
    if own.stopped_by is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": own.stopped_by}
    reason = "max_tokens" if own.reason == "length" else "tool_use" if answer.calls else "end_turn"
    return {"stop_reason": reason, "stop_sequence": None}


def block(own: Block) -> dict[str, Any]:
    """A block as Anthropic writes it. Arguments that are no JSON object are passed on in one, so that the tool refuses
    them and the model reads why."""
    match own.kind:
        case "text":
            return {"type": "text", "text": own.text}
        case "reasoning":
            return {"type": "thinking", "thinking": own.text, "signature": ""}
    given = parsed(own.text)
    arguments = given if isinstance(given, dict) else {"unreadable": given}
    return {"type": "tool_use", "id": f"toolu_{own.id}", "name": own.name, "input": arguments}


def event(change: Change) -> dict[str, Any]:
    """A change as an event."""
    match change.kind:
        case "begun":
            return {"type": "content_block_start", "index": change.index, "content_block": block(change.block)}
        case "ended":
            return {"type": "content_block_stop", "index": change.index}
    key, kind = {
        "text": ("text", "text_delta"),
        "reasoning": ("thinking", "thinking_delta"),
        "call": ("partial_json", "input_json_delta"),
    }[change.block.kind]
    return {"type": "content_block_delta", "index": change.index, "delta": {"type": kind, key: change.text}}
