"""Every error a user can meet: one line, saying what was expected, what was found, where, and what to do."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Sequence

LONGEST_NAME = 64  # characters of an unknown name that a message shows
SHORT_LIST = 12  # a message lists all names if there are at most this many
HEAD, TAIL = 240, 80  # characters that a message shows of what a file says at great length


class BitwrightError(Exception):
    """A failure the user can act on; the CLI prints its one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(BitwrightError):
    """A wrong flag, name or combination."""

    exit_code = 2


class BudgetError(BitwrightError):
    """A budget that no choice of formats meets; the message says the nearest one that does, `nearest` is its number."""

    exit_code = 3

    def __init__(self, message: str, nearest: float) -> None:
        self.nearest = nearest
        super().__init__(message)


class FileFormatError(BitwrightError):
    """A file is not what its format says: `path`, `offset` in bytes (None: the file as a whole), `expected`, `got`."""

    def __init__(self, path: object, offset: int | None, expected: str, got: str) -> None:
        self.path, self.offset, self.expected, self.got = str(path), offset, expected, got
        where = "" if offset is None else f", byte {offset}"
        super().__init__(f"{path}{where}: expected {abridged(expected)}, got {abridged(got)}")


class UnsupportedError(BitwrightError):
    """Something well-formed that bitwright does not handle; the message names what it does handle."""

    def __init__(self, kind: str, name: object, supported: Iterable[object]) -> None:
        self.kind, self.name, self.supported = kind, str(name), [str(s) for s in supported]
        super().__init__(f"{kind} {abridged(self.name)} is not supported; supported: {', '.join(self.supported)}")


class UnknownNameError(UnsupportedError, UsageError):
    """An unknown name from the user. The message suggests the nearest names, at most three, or lists the few there
    are. near: the nearest, if the caller knows better than the spelling."""

    def __init__(self, kind: str, name: str, known: Iterable[object], near: Sequence[str] = ()) -> None:
        super().__init__(kind, name, known)
        name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."
        near = near or _nearest(name.lower(), self.supported)
        few = len(self.supported) <= SHORT_LIST
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(self.supported)}"
        if not near and not few:
            hint = f"the nearest are {', '.join(_nearest(name.lower(), self.supported, least=0.0))}"
        self.args = (f"unknown {kind} {name!r}; {hint}",)


def abridged(text: str) -> str:
    """`text` without its middle, if it is long."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} ... {text[-TAIL:]}"


def _nearest(name: str, known: list[str], least: float = 0.6) -> list[str]:
    """Up to three similar names: first those that begin alike, then those of about the same length."""
    import difflib

    similar = difflib.get_close_matches(name, known, n=12, cutoff=least)
    alike = {other: len(os.path.commonprefix([name, other])) for other in similar}  # noqa: RUF071  characters
    key = {other: (-length, abs(len(name) - len(other))) for other, length in alike.items()}
    return sorted(dict.fromkeys(n for n in known if n in key), key=key.__getitem__)[:3]
