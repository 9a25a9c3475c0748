"""What a chat template writes around each turn of a conversation, found by rendering conversations with it.

Engines with template languages of their own (Ollama's is Go's text/template) cannot run Jinja. Most templates, without
tools, only put fixed text around what is said, and these texts can be told from a few renderings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bitwright.errors import BitwrightError
from bitwright.model.chat import ChatTemplate

SYSTEM, QUESTION, ANSWER, AGAIN, LAST = "Said first", "Asked one", "Answered one", "Asked two", "Answered two"


@dataclass(frozen=True)
class Turns:
    """Fixed texts. opening: before all, without a system message. system: before and after one. folded: whether the
    system message opens the first user's turn, instead of coming before it. user, assistant: before and after each
    turn. reply: before an answer that is asked for."""

    opening: str
    system: tuple[str, str]
    folded: bool
    user: tuple[str, str]
    assistant: tuple[str, str]
    reply: str

    def render(self, said: Sequence[str], system: str | None = None) -> str:
        """A conversation in which a user speaks first, and the opening of an answer if the user spoke last."""
        pieces, before = [], ""
        if system is None:
            pieces.append(self.opening)
        elif self.folded:
            pieces.append(self.opening)
            before = system + self.system[1]
        else:
            pieces.append(system.join(self.system))
        for index, text in enumerate(said):
            around = self.assistant if index % 2 else self.user
            pieces.append((text if index else before + text).join(around))
        return "".join(pieces) + (self.reply if len(said) % 2 else "")


def turns(template: ChatTemplate) -> Turns | None:
    """The texts around turns; None if they are not fixed (they may hold today's date), or if the template refuses a
    system message."""
    try:
        found = _found(template)
        asked: list[tuple[list[str], str | None]] = [
            ([QUESTION], None), ([QUESTION], SYSTEM), ([QUESTION, ANSWER, AGAIN], SYSTEM),
            ([QUESTION, ANSWER, AGAIN, LAST, QUESTION], None),
        ]  # fmt: skip
        same = all(found.render(said, system) == _rendered(template, said, system) for said, system in asked)
    except (BitwrightError, _NotFixed):
        return None
    return found if same else None


class _NotFixed(Exception):
    """A text between two turns is not made of the texts around each."""


def _found(template: ChatTemplate) -> Turns:
    first, middle, next, end = _between(template, [QUESTION, ANSWER, AGAIN])
    after_user = _ended(template, [QUESTION], end)
    after_assistant = _ended(template, [QUESTION, ANSWER], next)
    before_user = _without(next, start=after_assistant)
    before_assistant, reply = _without(middle, start=after_user), _without(end, start=after_user)
    opening = _without(first, end=before_user)
    before, after, *_ = _between(template, [QUESTION], SYSTEM)
    folded = before == first and not after.endswith(before_user)
    if not folded:
        after = _without(after, end=before_user)
    return Turns(
        opening, (before, after), folded, (before_user, after_user), (before_assistant, after_assistant), reply
    )


def _ended(template: ChatTemplate, said: list[str], goes_on: str) -> str:
    """The text after the last turn, without the end of the text that some templates put there if nothing follows."""
    found = _between(template, said, reply=False)[-1]
    return found if goes_on.startswith(found) else found.removesuffix(template.special.get("eos_token", ""))


def _between(template: ChatTemplate, said: list[str], system: str | None = None, reply: bool = True) -> list[str]:
    """The text before, between and after what is said, in one rendering."""
    rest, pieces = _rendered(template, said, system, reply), []
    for text in [system, *said] if system else said:
        piece, found, rest = rest.partition(text)
        if not found:
            raise _NotFixed
        pieces.append(piece)
    return [*pieces, rest]


def _rendered(template: ChatTemplate, said: Sequence[str], system: str | None, reply: bool = True) -> str:
    messages = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(said)]
    first = [{"role": "system", "content": system}] if system else []
    return template.render(first + messages, reply, strftime_now=_today)


def _today(format: str) -> str:
    raise _NotFixed


def _without(text: str, start: str = "", end: str = "") -> str:
    if not (text.startswith(start) and text.endswith(end) and len(text) >= len(start) + len(end)):
        raise _NotFixed
    return text[len(start) : len(text) - len(end)]
