"""What the user sees: tables and JSON on stdout, progress and remarks on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

from bitwright.cli import table
from bitwright.escapes import escaped, escaped_but_styled, escaped_json
from bitwright.views.numbers import human_bytes as human_bytes
from bitwright.views.numbers import human_count as human_count
from bitwright.views.numbers import human_rate as human_rate

Report = Callable[..., None]
QUIET_SECONDS = 1.0  # work shorter than this shows no progress
LINE_SECONDS = 10.0  # without a terminal, one line per this many seconds


def colored(stream: Any = None) -> bool:
    """Whether `stream` (default: stdout) is a terminal that wants colour; NO_COLOR and TERM=dumb refuse it."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(text: str) -> str:
    """`text` in bold, on a terminal."""
    return _styled(text, 1, sys.stdout)


def dim(text: str, stream: Any = None) -> str:
    """`text` dimmed, if `stream` (default: stdout) is a terminal."""
    return _styled(text, 2, stream)


def good(text: str) -> str:
    """`text` in green, on a terminal. The words alone must say the same."""
    return _styled(text, 32, sys.stdout)


def bad(text: str) -> str:
    """`text` in red, on a terminal. The words alone must say the same."""
    return _styled(text, 31, sys.stdout)


class Styled(str):
    """Text without control characters but those that colour it. Formatted into other text it is ordinary text again,
    so a table's cell is styled as a whole."""

    __slots__ = ()


def verdicts(text: str) -> str:
    """`text` with the words better and worse in green and red, on a terminal."""
    return re.sub(r"\b(?:better|worse)\b", lambda word: (good if word[0] == "better" else bad)(word[0]), text)


def _styled(text: str, code: int, stream: Any) -> str:
    return Styled(f"\x1b[{code}m{escaped(text)}\x1b[0m") if colored(stream) else escaped(text)


class Shown:
    """A stream whose text is shown with control characters escaped (`escapes`), for what goes to a terminal."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text; the styles of this module stay if the stream has any."""
        self.stream.write(escaped_but_styled(text) if colored(self.stream) else escaped(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """In this context everything printed on stdout has its control characters escaped."""
    with contextlib.redirect_stdout(cast(Any, Shown(sys.stdout))):
        yield


def unchanged() -> Any:
    """Stdout, for text that is printed as it is."""
    return sys.stdout.stream if isinstance(sys.stdout, Shown) else sys.stdout


def screen(stream: Any = None) -> int | None:
    """Columns of the terminal that `stream` (default: stdout) is, or what COLUMNS says; None: as many as it takes."""
    wanted = os.environ.get("COLUMNS", "").isdigit() or (stream or sys.stdout).isatty()
    return shutil.get_terminal_size().columns if wanted else None


def print_json(value: object) -> None:
    """One JSON object, as a view gives it; pretty on a terminal, and escaped if stdout cannot encode it."""
    dumps = partial(json.dumps, value, allow_nan=False, indent=2 if sys.stdout.isatty() else None)
    text = dumps(ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = dumps(ensure_ascii=True)
    print(escaped_json(text))


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], indent: int = 0, drop: Sequence[str] = ()
) -> list[str]:
    """Aligned columns; a header that starts with '>' aligns its column right.

    If the terminal is too narrow, the columns titled in `drop` are left out, in that order, until the others fit;
    then long texts fold. Returns the titles of the columns left out, for `say_left_out`.
    """
    width = screen()
    rows = [[cell if isinstance(cell, Styled) else in_a_line(str(cell)) for cell in row] for row in rows]
    lines, left_out = table.layout(headers, rows, width and width - indent, drop)
    titled = any(header.removeprefix(">") for header in headers)
    for i, line in enumerate(lines):
        line = " " * indent + line
        print(bold(line) if titled and i == 0 else line)
    return left_out


def in_a_line(text: str) -> str:
    """`text` with control characters escaped, newlines and tabs among them."""
    return escaped(text).replace("\n", "\\n").replace("\t", "\\t")


def print_pairs(pairs: Sequence[tuple[str, object]], indent: int = 0) -> None:
    """Name and value, one pair per line; long values fold."""
    print_table(["", ""], pairs, indent)


def say(text: str, indent: int = 0, style: Callable[[str], str] = str) -> None:
    """Print prose, to be read at once even in a log: on a terminal, lines broken between words; further lines are
    indented. style: such as `bold`."""
    print(style(_folded(text, indent, sys.stdout)), flush=True)


def say_headline(name: str, sentence: str) -> None:
    """Print the one sentence that a measurement comes to: what was measured, and the result."""
    say(f"{name}: {sentence}", style=bold)


def remark(text: str) -> None:
    """Print something worth knowing that is not the result, on stderr."""
    print(dim(_folded(escaped(text), 0, sys.stderr), sys.stderr), file=sys.stderr)


@contextlib.contextmanager
def waiting_for(name: str) -> Iterator[None]:
    """In this context, say after a second what keeps the user waiting: a pipe that nobody writes to looks like a
    program that hangs."""
    timer = threading.Timer(QUIET_SECONDS, lambda: remark(f"waiting for {name} to end"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def say_left_out(titles: Sequence[str]) -> None:
    """Say, on stderr, which columns of tables were left out, if any."""
    if titles:
        columns = ", ".join(dict.fromkeys(titles))
        remark(f"left out to fit {screen()} columns: {columns} (a wider terminal shows them, --json has them)")


def _folded(text: str, indent: int, stream: Any) -> str:
    width = screen(stream)
    if width is None:
        return text
    lines = textwrap.TextWrapper(max(20, width), subsequent_indent=" " * indent, break_on_hyphens=False,
                                 break_long_words=False)  # fmt: skip
    return "\n".join(lines.fill(line) for line in text.split("\n"))


@contextlib.contextmanager
def progress(label: str) -> Iterator[Report]:
    """Yields `report(done, total, note="")`: after a second, a bar on a terminal; elsewhere a line
    every ten seconds."""
    label = in_a_line(label)
    with _bar(label) if sys.stderr.isatty() else contextlib.nullcontext(_lines(label)) as report:
        yield report


def _lines(label: str) -> Report:
    started = last = time.monotonic()

    def report(done: float, total: float | None = None, note: str = "") -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            share = f"{100 * done / total:.0f}%" if total else ""
            left = f"about {(last - started) * (total / done - 1):.0f} s left" if total and done else ""
            parts = [part for part in (share, f"{last - started:.0f} s", left, in_a_line(note)) if part]
            print(f"{label}: {', '.join(parts)}", file=sys.stderr)

    return report


@contextlib.contextmanager
def _bar(label: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None, note="")

    def report(done: float, total: float | None = None, note: str = "") -> None:
        bar.update(task, completed=done, total=total, note=in_a_line(note))

    timer = threading.Timer(QUIET_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield report
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
