"""Conversations as requests hold them, brought into the form that chat templates expect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from bitwright.model.replies import Reply
from bitwright.server.errors import Refused, invalid
from bitwright.server.generation import Generation, Settings
from bitwright.server.parameters import Body, ResponseFormat, from_json, is_deep, wanted
from bitwright.server.service import Prompt, Service

if TYPE_CHECKING:
    from bitwright.engine.constraint import Constraint


# What Claude Code begins the system prompt with, and gateways pass on. It differs in every request, so that nothing
# after it would be found in memory (https://github.com/anthropics/claude-code/issues/50085).
BILLING = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n*")


class Part(Body):
    """A part of a message's content. Only text can be read."""

    type: str
    text: str | None = None


class CalledFunction(Body):
    """A function that was called, and its arguments: JSON text, or the object itself."""

    name: str
    arguments: str | dict[str, Any] = ""


class Call(Body):
    """A call in an earlier answer."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Body):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None

    def templated(self) -> dict[str, Any]:
        """The message as templates expect it."""
        found: dict[str, Any] = {"role": "system" if self.role == "developer" else self.role, "content": self.text()}
        if self.tool_calls:
            found["tool_calls"] = [
                {"id": call.id or "", "type": "function",
                 "function": {"name": call.function.name, "arguments": parsed(call.function.arguments)}}
                for call in self.tool_calls
            ]  # fmt: skip
        for key in ("name", "tool_call_id", "reasoning_content"):
            if (value := getattr(self, key)) is not None:
                found[key] = value
        return found

    def text(self) -> str:
        """Its content as one text, without what only Anthropic's servers read. Refused if a part is anything else."""
        parts = self.content if isinstance(self.content, list) else [Part(type="text", text=self.content or "")]
        for part in parts:
            if part.text is None:
                raise invalid(f"messages: expected parts of text, got one of type {part.type[:40]!r}; this model reads "
                              "text only")  # fmt: skip
        found = "\n".join(part.text or "" for part in parts)
        return BILLING.sub("", found) if self.role in ("system", "developer") else found


class ToolFunction(Body):
    """A function that a model may call."""

    name: str = Field(min_length=1, max_length=256)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None  # whether arguments must fit the parameters' schema


class Tool(Body):
    """A tool that a model may use."""

    type: Literal["function"] = "function"
    function: ToolFunction

    def templated(self) -> dict[str, Any]:
        """The tool as templates expect it."""
        return {"type": "function", "function": self.function.model_dump(exclude={"strict"}, exclude_none=True)}


MOST_COMPLETIONS = 256
Texts = str | list[str] | list[int] | list[list[int]]


async def encoded(service: Service, given: Texts, name: str) -> list[list[int]]:
    """The ids of one text or several, each given as text or as ids. Refused if an id is not the model's."""
    several: Sequence[Any] = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    if not several:
        raise invalid(f"{name}: expected at least one text")
    found = []
    for own in several:
        if isinstance(own, str):
            found.append(await service.encode(own))
        else:
            service.check(own, name)
            found.append(own)
    return found


def check_number(prompts: Sequence[Any], each: int) -> None:
    """Refused if a request asks for too many completions: `each` of every prompt."""
    if (asked := len(prompts) * each) > MOST_COMPLETIONS:
        raise invalid(f"expected at most {MOST_COMPLETIONS} completions in a request, got {asked}")


MOST_MESSAGES, MOST_TOOLS = 10_000, 512
Messages = Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
Tools = Annotated[list[Tool], Field(max_length=MOST_TOOLS)]


def led(messages: Sequence[Message]) -> list[Message]:
    """The messages, with those of the system that they begin with as one: many templates refuse a second."""
    count = next((i for i, own in enumerate(messages) if own.role not in ("system", "developer")), len(messages))
    if count < 2:
        return [*messages]
    return [Message(role="system", content="\n\n".join(own.text() for own in messages[:count])), *messages[count:]]


REMINDER = "<system-reminder>\n{}\n</system-reminder>"  # in which Claude Code puts what it says among the user's words


def taking_turns(messages: Sequence[Message]) -> list[Message]:
    """The messages for templates that refuse one of the system after others, or two of the user in a row, which Claude
    Code, Codex and OpenCode send: the user says the one as a reminder, and the two at once."""
    found: list[Message] = []
    for own in led(messages):
        if found and own.role in ("system", "developer"):
            own = Message(role="user", content=REMINDER.format(own.text()))
        if found and found[-1].role == own.role == "user":
            found[-1] = Message(role="user", content=f"{found[-1].text()}\n\n{own.text()}")
        else:
            found.append(own)
    return found


def effort(asked: str | None) -> dict[str, Any]:
    """What the template is told of how much to think."""
    return {} if asked is None else {"reasoning_effort": asked, "enable_thinking": asked != "none"}


def parsed(arguments: str | dict[str, Any]) -> str | dict[str, Any]:
    """Arguments as an object, which templates write in their own ways; as text if they are no JSON object."""
    if isinstance(arguments, dict):
        return arguments
    try:
        found = from_json(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments
    return found if isinstance(found, dict) and not is_deep(found) else arguments


Called = Literal["none", "auto", "required"]


@dataclass(frozen=True)
class Choice:
    """Whether an answer calls tools: none, some if the model likes (auto), or at least one (required). Only tools with
    one of the `names`, if there are any; at most a `single` time, if that is wanted."""

    called: Called = "auto"
    names: Sequence[str] | None = None
    single: bool = False

    def among(self, tools: Sequence[Tool]) -> list[Tool]:
        """The tools that may be called. Refused if one must be, and is not there."""
        if self.called == "none":
            return []
        found = [tool for tool in tools if self.names is None or tool.function.name in self.names]
        if self.called == "required" and not found:
            missing = "no tool" + ", ".join(f" {name[:80]!r}" for name in self.names or ())
            raise invalid(f"tool_choice: a call is required, and there is {missing}")
        return found


@dataclass(frozen=True)
class Turn:
    """A model's turn to speak. strict: whether it is held to the schemas of its tools even if it need not call one."""

    service: Service
    prompt: Prompt
    tools: list[dict[str, Any]]
    choice: Choice
    strict: bool

    @classmethod
    async def of(
        cls, service: Service, messages: Sequence[Message], tools: Sequence[Tool] | None, choice: Choice,
        variables: dict[str, Any],
    ) -> Turn:  # fmt: skip
        """The turn after `messages`, as they are unless the template refuses them so. Refused if it does in any case,
        or a tool is demanded that is not there."""
        offered = choice.among(tools or ())
        own = [tool.templated() for tool in offered]
        try:
            prompt = await service.prompt([message.templated() for message in messages], own, **variables)
        except Refused:
            turns = [message.templated() for message in taking_turns(messages)]
            prompt = await service.prompt(turns, own, **variables)
        return cls(service, prompt, own, choice, any(tool.function.strict for tool in offered))

    def reply(self) -> Reply:
        """A parser for the answer."""
        return self.service.format.reply(self.prompt.text, self.tools, self.choice.single)

    async def constraint(self, format: ResponseFormat | None, grammar: str | None) -> Constraint | None:
        """What the answer must be; None if it may be any text. Refused if it must be two things."""
        required, schema = self.choice.called == "required", wanted(format)
        if required and (grammar or schema is not None):
            raise invalid("expected either a call that is required or a format of the answer, got both")
        calls = None
        if required or (self.tools and not grammar and (self.strict or schema is not None)):
            calls = self.service.format.grammar(self.tools, required, self.choice.single, schema)
        if required and calls is None:
            raise invalid(
                f"tool_choice: a call cannot be enforced in the format of this model ({self.service.format.name})"
            )
        return await self.service.constraint(None if calls else schema, calls or grammar)

    def generation(self, settings: Settings, constraint: Constraint | None, owner: str) -> Generation:
        """An answer. A constraint begins where it does: after reasoning that the prompt has opened."""
        settings.kept = self.service.kept
        if self.choice.single and self.tools:
            settings.reply = self.reply()
        if constraint is not None:
            settings.constraint = constraint
            settings.constrained_after = self.service.format.reasoning_end(self.prompt.text)
        return Generation(self.prompt.ids, settings, self.service.tokenizer, owner, self.prompt.marks)
