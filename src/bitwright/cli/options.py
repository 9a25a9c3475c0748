"""Options that several verbs share: one name and one line of help for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
        help="Number of threads; all cores if not given. Of two kinds of cores, models run on the fast ones.",
        show_default=False,
    ),
]
CachePacked = Annotated[
    bool,
    typer.Option(
        "--cache-packed",
        help="Keep the weights on disk as the kernels read them: the model then opens faster, and runs if memory does "
        "not hold it.",
    ),
]
Lora = Annotated[
    str | None,
    typer.Option(
        "--lora",
        metavar="ADAPTER",
        help="A LoRA adapter to merge into MODEL, a checkpoint: a folder or org/name.",
        show_default=False,
        autocompletion=complete.model,
    ),
]
LEAST_CONTEXT, MOST_CONTEXT = 8, 1 << 30


def tokens(text: str) -> int:
    """The tokens of "8192", "32k" (32768) or "1M"; typer.BadParameter, which names the option, for anything else."""
    import re

    found = re.fullmatch(r"(\d{1,9})([km]?)", str(text).strip().lower())
    count = int(found[1]) << {"": 0, "k": 10, "m": 20}[found[2]] if found else 0
    if not LEAST_CONTEXT <= count <= MOST_CONTEXT:
        expected = f"at least {LEAST_CONTEXT} tokens, at most {MOST_CONTEXT >> 20}m, such as 8192 or 32k"
        raise typer.BadParameter(f"expected {expected}, got {str(text)[:60]!r}")
    return count


def context(help: str, shown: bool = False) -> Any:
    """The option for a number of tokens. shown: whether help shows the default."""
    return typer.Option("-c", "--ctx", "--ctx-size", metavar="N", parser=tokens, help=help, show_default=shown)


Context = Annotated[
    int | None, context("Context length in tokens, such as 32k; the model's own, at most 4096, if not given.")
]
RoomyContext = Annotated[
    int | None,
    context("Context length in tokens, such as 32k; if not given, what the model was trained on, as memory allows."),
]
Device = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help='A device, such as 3090 or "M1 Max", or a JSON file that describes one; repeatable.',
        show_default=False,
        autocompletion=complete.device,
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
    Path | None,
    typer.Option(
        *("-f", "--file"),
        metavar="FILE",
        help="The text to measure on; - reads stdin. If not given, bitwright's own, 94 kB.",
        show_default=False,
    ),
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
UNITS |= {letter: UNITS[f"{letter}B"] for letter in "KMGT"}
GIGABYTES = 1000  # a number without a unit up to this one means gigabytes


def parse_size(option: str, text: str) -> int:
    """Bytes of "24GB", "16 GiB", "24" (gigabytes) or "1e9"; raises UsageError."""
    import re

    from bitwright.errors import UsageError

    found = re.fullmatch(r"([0-9.e]+)\s*([KMGT]I?B|[KMGT]|)", text.strip().upper().replace("E", "e"))
    try:
        number, unit = (float(found[1]), found[2]) if found else (0.0, "")
        size = number * UNITS["GB" if not unit and number <= GIGABYTES else unit]
    except ValueError:
        size = 0.0
    if not 1 << 20 <= size < 1 << 60:
        raise UsageError(f"{option} expects a size such as 24GB or 16GiB, got {text!r}")
    return int(size)


def measured_text(file: Path | None) -> str:
    """The text to measure on: of `file`, or bitwright's own, which is said."""
    from bitwright.cli import output
    from bitwright.measure import standard_text

    if file is not None:
        return read_text(file)
    output.remark(
        "no -f: measuring on bitwright's own text (94 kB of English, German, French and code); "
        "text of the kind you use tells you more"
    )
    return standard_text.read()


def read_text(file: Path) -> str:
    """The text of `file` (`-`: standard input); raises UsageError if it cannot be read, never ends, or is not UTF-8."""
    import sys

    from bitwright.cli import output
    from bitwright.errors import UsageError
    from bitwright.io import inputs

    name = "standard input" if str(file) == "-" else str(file)
    try:
        with output.waiting_for(name):  # of a pipe, until somebody writes and closes it
            if str(file) == "-":
                data = inputs.whole(sys.stdin.buffer, name)
            else:
                with file.open("rb") as opened:
                    data = inputs.whole(opened, name)
        return data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name}, byte {error.start}: expected UTF-8 text, got byte 0x{data[error.start]:02x}"
        ) from None
