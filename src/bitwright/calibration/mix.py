"""A default calibration mix: texts found on any machine with Python, always in the same order.

English prose about programs, source code and licences, and Perl's manuals if installed, under the licences named. It
holds no stories, no conversation and no other language: text like what the model will read is better.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitwright.errors import UsageError

PIECE = 8 << 10  # characters of a document at most, so that many documents are used


@dataclass(frozen=True)
class Source:
    """documents(): texts, or files of text; `characters`: how many to take from them."""

    name: str
    licence: str
    characters: int
    documents: Callable[[], Sequence[str | Path]]


def _topics() -> list[str]:
    """The language reference, as the interpreter's help() shows it."""
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some distributions leave it out
        return []
    return [topics[name] for name in sorted(topics)]


def _files(root: str, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in Path(root).glob(pattern) if path.is_file())


def _library(*patterns: str) -> list[Path]:
    return _files(sysconfig.get_paths()["stdlib"], *patterns)


def _numpy() -> list[Path]:
    import numpy

    return _files(str(Path(numpy.__file__).parent), "_core/*.py", "lib/*.py", "linalg/*.py", "random/*.pyi")


SOURCES = (
    Source("Python's language reference", "PSF-2.0", 96 << 10, _topics),
    Source("Python's standard library", "PSF-2.0", 96 << 10, lambda: _library("*.py", "asyncio/*.py", "email/*.py")),
    Source("NumPy's sources", "BSD-3-Clause", 48 << 10, _numpy),
    Source("Perl's manuals", "Artistic or GPL", 64 << 10, lambda: _files("/usr/share/perl", "*.*.*/**/*.pod")),
    Source("texts of licences", "verbatim copies", 32 << 10, lambda: _files("/usr/share/common-licenses", "*")),
)


def texts() -> list[tuple[Source, str]]:
    """Each source on this machine with the text taken from it. UsageError if there are none."""
    found = [(source, text) for source in SOURCES if (text := _taken(source))]
    if not found:
        raise UsageError("this machine has no texts for the default calibration mix: give one with -f FILE")
    return found


def _taken(source: Source) -> str:
    """The beginnings of documents, each up to the end of a line, until there are enough. The order is spread evenly
    over all documents (by multiples of the golden ratio)."""
    documents, pieces, room = source.documents(), [], source.characters
    for index in sorted(range(len(documents)), key=lambda i: i * 0.6180339887498949 % 1):
        text = _read(documents[index])[: min(PIECE, room)]
        piece = text[: text.rfind("\n") + 1]
        pieces += [piece] if piece else []
        room -= len(piece)
        if room < PIECE // 8:
            break
    return "\n".join(pieces)


def _read(document: str | Path) -> str:
    """The text; empty if it cannot be read or is not UTF-8."""
    if isinstance(document, str):
        return document
    try:
        return document.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
