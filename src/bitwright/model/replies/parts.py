"""What a model's reply holds: text, reasoning, and calls of tools."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """A piece of the answer."""

    text: str


class Reasoning(NamedTuple):
    """A piece of what the model thinks before it answers."""

    text: str


class Call(NamedTuple):
    """A call of the tool `name` begins; calls are counted from 0."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name
    name: str


class Arguments(NamedTuple):
    """The next piece of a call's arguments. All pieces together are a JSON object, if the model wrote one."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name
    text: str


Part = Text | Reasoning | Call | Arguments
