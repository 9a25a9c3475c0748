"""Conversations as OpenAI's responses have them, in items: those that are read, and those that are written
(https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from bitwright.server.answers import Block, new_id
from bitwright.server.errors import invalid
from bitwright.server.offered import joined, parted
from bitwright.server.parameters import Body
from bitwright.server.prompts import Call, CalledFunction, Message, Part

MOST_ITEMS = 10_000


class Said(Body):
    """A message."""

    type: Literal["message"] = "message"
    id: str = Field(default_factory=lambda: new_id("msg"))
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]

    def message(self) -> Message:
        """The message it stands for."""
        return Message(role=self.role, content=self.content)

    def listed(self) -> dict[str, Any]:
        """The item as it is listed."""
        kind = "output_text" if self.role == "assistant" else "input_text"
        parts = [Part(type=kind, text=self.content)] if isinstance(self.content, str) else self.content
        more: dict[str, Any] = {"annotations": []} if self.role == "assistant" else {}
        content = [{**part.model_dump(exclude_none=True), **more} for part in parts]
        return {**self.model_dump(), "content": content, "status": "completed"}


class Called(Body):
    """A call of a function, which may be one of a namespace."""

    type: Literal["function_call"]
    id: str = Field(default_factory=lambda: new_id("fc"))
    call_id: str
    name: str
    namespace: str | None = None
    arguments: str = ""

    def message(self) -> Message:
        """The message it stands for."""
        function = CalledFunction(name=joined(self.namespace, self.name), arguments=self.arguments)
        return Message(role="assistant", tool_calls=[Call(id=self.call_id, function=function)])

    def listed(self) -> dict[str, Any]:
        """The item as it is listed."""
        return {**self.model_dump(exclude_none=True), "status": "completed"}


class Returned(Body):
    """What a function returned."""

    type: Literal["function_call_output"]
    id: str = Field(default_factory=lambda: new_id("fco"))
    call_id: str
    output: str | list[Part]

    def message(self) -> Message:
        """The message it stands for."""
        return Message(role="tool", tool_call_id=self.call_id, content=self.output)

    def listed(self) -> dict[str, Any]:
        """The item as it is listed."""
        return {**self.model_dump(exclude_none=True), "status": "completed"}


class Thought(Body):
    """What the model thought, or a summary of it. Other servers may hide both."""

    type: Literal["reasoning"]
    id: str = Field(default_factory=lambda: new_id("rs"))
    summary: list[Part] = Field(default_factory=list)
    content: list[Part] | None = None

    def message(self) -> Message:
        """The message it stands for."""
        text = "\n".join(part.text or "" for part in self.content or self.summary)
        return Message(role="assistant", reasoning_content=text or None)

    def listed(self) -> dict[str, Any]:
        """The item as it is listed."""
        return self.model_dump(exclude_none=True)


class Unread(Body):
    """An item of another type."""

    type: str

    def message(self) -> Message:
        """Refused: without it the conversation would be another."""
        raise invalid(f"input: items of type {self.type[:40]!r} cannot be read")

    def listed(self) -> dict[str, Any]:
        """The item as it is listed."""
        return self.model_dump()


def kind(item: Any) -> str:
    """Which model reads an item. A message may come without its type."""
    found = item.get("type") or ("message" if "role" in item else None) if isinstance(item, dict) else None
    return found if found in ("message", "function_call", "function_call_output", "reasoning") else "other"


Item = Annotated[
    Annotated[Said, Tag("message")]
    | Annotated[Called, Tag("function_call")]
    | Annotated[Returned, Tag("function_call_output")]
    | Annotated[Thought, Tag("reasoning")]
    | Annotated[Unread, Tag("other")],
    Discriminator(kind),
]
ITEMS = TypeAdapter(list[Item])


def spoken(items: Iterable[Item]) -> list[Message]:
    """The messages that items stand for. What an assistant thought, said and called in one go is one message, as the
    model wrote it."""
    found: list[Message] = []
    for own in (item.message() for item in items):
        last = found[-1] if found else None
        if last is None or not last.role == own.role == "assistant" or own.reasoning_content is not None:
            found.append(own)
        elif own.tool_calls:
            last.tool_calls = [*(last.tool_calls or ()), *own.tool_calls]
        elif own.content is not None and (last.tool_calls or last.content is not None):
            found.append(own)
        elif own.content is not None:
            last.content = own.content
    return found


def written(block: Block, namespaces: Container[str]) -> dict[str, Any]:
    """A block of an answer as an item. Its content is empty as long as the block is."""
    id = item_id(block)
    match block.kind:
        case "call":
            return {"id": id, "type": "function_call", "call_id": f"call_{block.id}",
                    **parted(block.name, namespaces), "arguments": block.text, "status": block.status}  # fmt: skip
        case "reasoning":
            own: dict[str, Any] = {"id": id, "type": "reasoning", "summary": []}
        case "text":
            own = {"id": id, "type": "message", "role": "assistant"}
    return {**own, "content": [part(block, block.text)] if block.text else [], "status": block.status}


def item_id(block: Block) -> str:
    """The id of the item that a block is."""
    return f"{ {'text': 'msg', 'reasoning': 'rs', 'call': 'fc'}[block.kind] }_{block.id}"


def part(block: Block, text: str) -> dict[str, Any]:
    """The content of a block."""
    if block.kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
