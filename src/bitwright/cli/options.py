"""Options that several verbs share: one name and one line of help for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli import complete

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A path, org/name[:QUANT][@rev], or an alias.",
        show_default=False,
        autocompletion=complete.model,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Threads = Annotated[
    int | None,
    typer.Option(
        *("-t", "--threads"),
        metavar="N",
        min=1,
        help="Number of threads; all cores if not given.",
        show_default=False,
    ),
]
CONTEXT = ("-c", "--ctx", "--ctx-size")
Context = Annotated[
    int | None,
    typer.Option(
        *CONTEXT,
        metavar="N",
        min=8,
        help="Context length in tokens; the model's own, at most 4096, if not given.",
        show_default=False,
    ),
]
KV = Annotated[
    str,
    typer.Option(
        "--kv",
        metavar="FORMAT",
        help="Format of the key-value cache: f16, bf16, q8_0 (half the memory) or q4_0 (a quarter).",
        autocompletion=complete.kv,
    ),
]
TextFile = Annotated[
    Path | None, typer.Option("-f", "--file", metavar="FILE", help="A text file; - reads stdin.", show_default=False)
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="REF",
        help="The original model to measure against.",
        show_default=False,
        autocompletion=complete.model,
    ),
]
Suite = Annotated[
    str, typer.Option("--suite", metavar="quick|full", help="How much to measure.", autocompletion=complete.suite)
]
Report = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write a report to FILE (.html or .json).", show_default=False),
]
Calibration = Annotated[
    list[Path] | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="A text the model was calibrated on, to check for overlap; repeatable.",
        show_default=False,
    ),
]
Chunks = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Score only the first N chunks.", show_default=False)
]


UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}


def parse_size(option: str, text: str) -> int:
    """Bytes of "24GB", "16 GiB" or "1e9"; raises UsageError."""
    import re

    from bitwright.errors import UsageError

    found = re.fullmatch(r"([0-9.e]+)\s*([KMGT]B|[KMG]IB|)", text.strip().upper().replace("E", "e"))
    try:
        size = float(found[1]) * UNITS[found[2]] if found else 0.0
    except ValueError:
        size = 0.0
    if size < 1:
        raise UsageError(f"{option} expects a size such as 24GB or 16GiB, got {text!r}")
    return int(size)


def read_text(file: Path) -> str:
    """The text of `file` (`-`: standard input); raises UsageError if it cannot be read or is not UTF-8."""
    import sys

    from bitwright.errors import UsageError

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{file}, byte {error.start}: expected UTF-8 text, got byte 0x{data[error.start]:02x}"
        ) from None
