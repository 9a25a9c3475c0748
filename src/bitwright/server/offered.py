"""Tools as OpenAI's responses offer them (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from bitwright.server.parameters import Body
from bitwright.server.prompts import MOST_TOOLS, ToolFunction


class Function(ToolFunction):
    """A function that the model may call."""

    type: Literal["function"]


class Namespace(Body):
    """Functions with a common name, such as those of an MCP server."""

    type: Literal["namespace"]
    name: str = Field(min_length=1, max_length=256)
    tools: Annotated[list[Function], Field(max_length=MOST_TOOLS)]


class OwnTool(Body):
    """A tool that OpenAI runs or only its models know (web_search, local_shell, custom). Others do not get it: Codex
    offers some in every request."""

    type: str


class FunctionChoice(Body):
    """The function that must be called, once."""

    type: Literal["function"]
    name: str


class AllowedTools(Body):
    """Functions that may be called, or of which one must be."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice], Field(max_length=MOST_TOOLS)]


def origin(tool: Any) -> str:
    """Which model reads a tool."""
    found = tool.get("type") if isinstance(tool, dict) else None
    return found if found in ("function", "namespace") else "own"


OfferedTool = Annotated[
    Annotated[Function, Tag("function")] | Annotated[Namespace, Tag("namespace")] | Annotated[OwnTool, Tag("own")],
    Discriminator(origin),
]


def joined(namespace: str | None, name: str) -> str:
    """The name by which a model calls a function of a namespace."""
    return f"{namespace}.{name}" if namespace else name


def parted(name: str, namespaces: Container[str]) -> dict[str, str]:
    """The name by which a model has called a function, as an item has it."""
    namespace, _, own = name.rpartition(".")
    return {"namespace": namespace, "name": own} if namespace in namespaces else {"name": name}
