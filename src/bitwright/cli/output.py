"""What the user sees: tables and JSON on stdout, progress and remarks on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Report = Callable[..., None]
QUIET_SECONDS = 1.0  # work shorter than this shows no progress
LINE_SECONDS = 10.0  # without a terminal, one line per this many seconds


def human_bytes(count: float) -> str:
    """98362432 -> '98.4 MB' (decimal units, as hubs and disks count)."""
    return _scaled(count, ["B", "kB", "MB", "GB", "TB"])


def human_count(count: float) -> str:
    """134515008 -> '134.5 M'."""
    return _scaled(count, ["", "k", "M", "G", "T"]).rstrip()


def _scaled(count: float, units: Sequence[str]) -> str:
    power = 0
    while abs(count) >= 999.95 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.0f} {units[0]}" if power == 0 else f"{count:.1f} {units[power]}"


def colored(stream: Any = None) -> bool:
    """Whether `stream` (default: stdout) is a terminal that wants colour; NO_COLOR and TERM=dumb refuse it."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(text: str) -> str:
    """`text` in bold, on a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if colored() else text


def dim(text: str, stream: Any = None) -> str:
    """`text` dimmed, if `stream` (default: stdout) is a terminal."""
    return f"\x1b[2m{text}\x1b[0m" if colored(stream) else text


def print_json(value: object) -> None:
    """One JSON object, as a view gives it; pretty on a terminal."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2 if sys.stdout.isatty() else None))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]], indent: int = 0) -> None:
    """Aligned columns; a header that starts with '>' aligns its column right."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [header.startswith(">") for header in headers]
    titles = [header.removeprefix(">") for header in headers]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for row in ([titles] if any(titles) else []) + cells:
        aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        line = (" " * indent + "  ".join(aligned)).rstrip()
        print(bold(line) if row is titles else _folded(line, indent + sum(w + 2 for w in widths[:-1])))


def _folded(line: str, margin: int) -> str:
    """On a terminal, a line that is too long continues under its last column."""
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or len(line) <= width or width - margin < 20:
        return line
    rest = textwrap.wrap(line[margin:], width - margin)
    return line[:margin] + ("\n" + " " * margin).join(rest)


def print_pairs(pairs: Sequence[tuple[str, object]], indent: int = 0) -> None:
    """Name and value, one pair per line."""
    print_table(["", ""], pairs, indent)


def remark(text: str) -> None:
    """Print something worth knowing that is not the result, on stderr."""
    print(dim(text, sys.stderr), file=sys.stderr)


@contextlib.contextmanager
def progress(label: str) -> Iterator[Report]:
    """Yields `report(done, total, note="")`: after a second, a bar on a terminal; elsewhere a line
    every ten seconds."""
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
            parts = [part for part in (share, f"{last - started:.0f} s", left, note) if part]
            print(f"{label}: {', '.join(parts)}", file=sys.stderr)

    return report


@contextlib.contextmanager
def _bar(label: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None, note="")

    def report(done: float, total: float | None = None, note: str = "") -> None:
        if not bar.live.is_started and time.monotonic() - started >= QUIET_SECONDS:
            bar.start()
        bar.update(task, completed=done, total=total, note=note)

    try:
        yield report
    finally:
        bar.stop()
