"""Conversations as Anthropic's clients send them, in blocks, brought into the form that all interfaces share
(https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from bitwright.server.parameters import Body, ResponseFormat
from bitwright.server.prompts import (
    MOST_MESSAGES,
    MOST_TOOLS,
    Call,
    CalledFunction,
    Choice,
    Message,
    Part,
    Tool,
    ToolFunction,
    effort,
    led,
)


class Thought(Body):
    """What the model thought. Anthropic's own models may hide it."""

    type: Literal["thinking", "redacted_thinking"]
    thinking: str = ""


class ToolUse(Body):
    """A call of a tool."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ToolResult(Body):
    """What a tool answered."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[Part] | None = None


def kind(block: Any) -> str:
    """Which model reads a block."""
    found = block.get("type") if isinstance(block, dict) else None
    if found == "redacted_thinking":
        return "thinking"
    return found if found in ("thinking", "tool_use", "tool_result") else "part"


Block = Annotated[
    Annotated[Thought, Tag("thinking")]
    | Annotated[ToolUse, Tag("tool_use")]
    | Annotated[ToolResult, Tag("tool_result")]
    | Annotated[Part, Tag("part")],
    Discriminator(kind),
]


class Said(Body):
    """A message: text, or blocks."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]

    def messages(self) -> list[Message]:
        """The messages it stands for: each result of a tool is one."""
        if isinstance(self.content, str):
            return system(self.content) if self.role == "system" else [Message(role=self.role, content=self.content)]
        parts = [block for block in self.content if isinstance(block, Part)]
        if self.role == "system":
            return system(parts)
        results = [block for block in self.content if isinstance(block, ToolResult)]
        found = [Message(role="tool", tool_call_id=own.tool_use_id, content=own.content) for own in results]
        if results and len(results) == len(self.content):
            return found
        said = Message(role=self.role, content=parts)
        thoughts = [block.thinking for block in self.content if isinstance(block, Thought)]
        said.reasoning_content = "".join(thoughts) or None
        said.tool_calls = [
            Call(id=block.id, function=CalledFunction(name=block.name, arguments=block.input))
            for block in self.content
            if isinstance(block, ToolUse)
        ]
        return [*found, said]


def system(content: str | list[Part] | None) -> list[Message]:
    """The system message, unless it says nothing."""
    found = Message(role="system", content=content)
    return [found] if found.text() else []


class ToolChoice(Body):
    """Whether a tool is called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = False

    def choice(self) -> Choice:
        """What it means."""
        single = bool(self.disable_parallel_tool_use)
        match self.type:
            case "any":
                return Choice("required", single=single)
            case "tool":
                return Choice("required", [self.name], single)
        return Choice(self.type, single=single)


class CustomTool(ToolFunction):
    """A tool that any model can use."""

    input_schema: dict[str, Any] | None = None


class OwnTool(Body):
    """A tool that Anthropic's models know. Others do not get it."""

    type: str


def origin(tool: Any) -> str:
    """Which model reads a tool."""
    return "custom" if isinstance(tool, dict) and tool.get("type") in (None, "custom") else "own"


OfferedTool = Annotated[Annotated[CustomTool, Tag("custom")] | Annotated[OwnTool, Tag("own")], Discriminator(origin)]


class Thinking(Body):
    """Whether the model shall think."""

    type: str


class OutputConfig(Body):
    """How much to think, and what the answer must be."""

    effort: str | None = None
    format: ResponseFormat | None = None


class Conversation(Body):
    """A conversation to continue."""

    model: str | None = None
    system: str | list[Part] | None = None
    messages: Annotated[list[Said], Field(min_length=1, max_length=MOST_MESSAGES)]
    tools: Annotated[list[OfferedTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    def spoken(self) -> list[Message]:
        """All messages."""
        return led([*system(self.system), *(message for said in self.messages for message in said.messages())])

    def offered(self) -> list[Tool]:
        """The tools that the model gets."""
        return [
            Tool(
                function=ToolFunction(
                    name=own.name, description=own.description, parameters=own.input_schema, strict=own.strict
                )
            )
            for own in self.tools or ()
            if isinstance(own, CustomTool)
        ]

    def variables(self) -> dict[str, Any]:
        """What the template is told besides the conversation."""
        found = effort(self.output_config.effort if self.output_config else None)
        return found if self.thinking is None else {**found, "enable_thinking": self.thinking.type != "disabled"}
