"""Every error a user can meet: one line, saying what was expected, what was found, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHORT_LIST = 50  # names that a message lists in full


class BitwrightError(Exception):
    """A failure the user can act on; the CLI prints its one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(BitwrightError):
    """A wrong flag, name or combination."""

    exit_code = 2


class FileFormatError(BitwrightError):
    """A file is not what its format says: `path`, `offset` in bytes (None: the file as a whole), `expected`, `got`."""

    def __init__(self, path: object, offset: int | None, expected: str, got: str) -> None:
        self.path, self.offset, self.expected, self.got = str(path), offset, expected, got
        where = "" if offset is None else f", byte {offset}"
        super().__init__(f"{path}{where}: expected {expected}, got {got}")


class UnsupportedError(BitwrightError):
    """Something well-formed that bitwright does not handle, named beside what it does handle."""

    def __init__(self, kind: str, name: object, supported: Iterable[object]) -> None:
        self.kind, self.name, self.supported = kind, str(name), [str(s) for s in supported]
        super().__init__(f"{kind} {name!s} is not supported; supported: {', '.join(self.supported)}")


class UnknownNameError(UnsupportedError, UsageError):
    """A name that the user chose and that names nothing, beside the nearest that do; of a long list only those."""

    def __init__(self, kind: str, name: str, known: Iterable[object]) -> None:
        super().__init__(kind, name, known)
        near = difflib.get_close_matches(name.lower(), self.supported, n=3)
        guess = f"; perhaps {' or '.join(near)}" if near else ""
        few = len(self.supported) <= SHORT_LIST
        names = f"; there are {', '.join(self.supported)}" if few else "" if near else f"; there are {self._sample()}"
        self.args = (f"there is no {kind} {name}{guess}{names}",)

    def _sample(self) -> str:
        return f"{len(self.supported)}, such as {', '.join(self.supported[:3])}"
