"""What was said so far, as a part of the screen that scrolls."""

from __future__ import annotations

from prompt_toolkit.layout import UIContent, UIControl
from prompt_toolkit.mouse_events import MouseEvent, MouseEventType

from bitwright.cli.screen.markdown import Markdown
from bitwright.cli.screen.prose import Line, Prose
from bitwright.model.replies import Reasoning, Text

WHEEL = 3  # lines


class Thought(Prose):
    """What a model thinks before it answers; folded, it is one line."""

    def __init__(self) -> None:
        super().__init__(style="dim italic")

    def folded(self) -> list[Line]:
        """One line about it."""
        count = len(self.units)
        text = (
            "thought for 1 line (Ctrl-T shows it)" if count == 1 else f"thought for {count} lines (Ctrl-T shows them)"
        )
        return [[(self.style, text)]]


class Transcript(UIControl):
    """Questions, answers and remarks, the latest at the end, which stays on the screen unless the user scrolls up.
    markdown: whether answers are."""

    def __init__(self, markdown: bool) -> None:
        self._entries: list[Prose] = []
        self._open: Prose | None = None  # what further pieces belong to
        self._markdown = markdown
        self._folded = True
        self._top: int | None = None  # the first line on the screen; None: the last is on it
        self._height = self._count = 0

    def add(self, text: str, style: str) -> None:
        """A question or a remark."""
        self.finish()
        self._entries.append(Prose(text, style))
        self._entries[-1].finish()

    def feed(self, part: Text | Reasoning) -> None:
        """The next piece of an answer."""
        kind = Thought if isinstance(part, Reasoning) else Markdown if self._markdown else Prose
        if part.text and type(self._open) is not kind:
            self.finish()
            self._open = kind()
            self._entries.append(self._open)
        if self._open is not None:
            self._open.feed(part.text)

    def finish(self) -> None:
        """The answer, or its reasoning, is over."""
        if self._open is not None:
            self._open.finish()
        self._open = None

    def clear(self) -> None:
        """Forget everything."""
        self._entries, self._open, self._top = [], None, None

    def fold(self) -> None:
        """Fold reasoning, or show it."""
        self._folded = not self._folded

    @property
    def more_below(self) -> bool:
        """Whether the end is not on the screen."""
        return self._top is not None

    def to_end(self) -> None:
        """Show the end from now on."""
        self._top = None

    def scroll(self, lines: int) -> None:
        """Move down by so many lines, or up."""
        last = max(0, self._count - self._height)
        top = max(0, (last if self._top is None else self._top) + lines)
        self._top = top if top < last else None

    def page(self, pages: int) -> None:
        """Move down by so many screens, or up."""
        self.scroll(pages * max(1, self._height - 1))

    def lines(self, width: int) -> list[Line]:
        """All lines, with an empty one between two entries."""
        found: list[Line] = []
        for entry in self._entries:
            if isinstance(entry, Thought) and self._folded and entry is not self._open:
                found += [[], *entry.folded()]
            else:
                found += [[], *entry.lines(width)]
        return found[1:]

    def create_content(self, width: int, height: int) -> UIContent:
        """Only the lines on the screen, so that nothing else need be drawn."""
        lines = self.lines(width)
        self._height, self._count = height, len(lines)
        last = max(0, len(lines) - height)
        start = last if self._top is None else min(self._top, last)
        shown = lines[start : start + height] or [[]]
        return UIContent(lambda i: [*shown[i]], len(shown), show_cursor=False)

    def mouse_handler(self, mouse_event: MouseEvent) -> object:
        """The wheel scrolls."""
        directions = {MouseEventType.SCROLL_UP: -WHEEL, MouseEventType.SCROLL_DOWN: WHEEL}
        if mouse_event.event_type not in directions:
            return NotImplemented
        self.scroll(directions[mouse_event.event_type])
        return None
