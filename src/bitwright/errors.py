"""Every error a user can meet: one line, saying what was expected, what was found, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable


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
