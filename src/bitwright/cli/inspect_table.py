"""How `bitwright inspect` prints a file: metadata cut to a line, tensors that repeat over the layers, totals."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.cli import output
from bitwright.escapes import escaped
from bitwright.views.plain import printable

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

LAYER = re.compile(r"^blk\.(\d+)\.")
LONG, FIRST = 100, 3  # without --all: characters of a metadata value, elements of an array


def show(file: GGUF, found: dict[str, Any], all: bool) -> None:
    """Print a file's view `inspect`, given as `found`; in full with `all`."""
    print(output.bold("metadata"))
    keys = [key for key in file.metadata if not key.startswith("tokenizer.")]
    output.print_pairs([(key, one_line(file.metadata[key], not all)) for key in keys], 2)
    print(output.bold("\ntokenizer"))
    output.print_pairs(list(found["tokenizer"].items()), 2)
    print(output.bold("\nchat template"))
    output.say(_template(found["chat_template"], all), 4)
    if found["tensors"]:
        print(output.bold("\ntensors"))
        rows = tensor_rows(found["tensors"], collapse=not all)
        titles = ["name", ">count", ">shape", "format", ">bytes", ">bits/weight"]
        left_out = output.print_table(titles, rows, 2, ["bits/weight", "count"])
        print(output.bold("\nformats"))
        output.print_table(
            ["format", ">tensors", ">weights", ">bytes", ">bits/weight"], [*map(_format_row, found["formats"])], 2
        )
        output.say_left_out(left_out)
    print()
    output.say(f"{file.called}: {_summary(found)}", 2, output.bold)


def _summary(found: dict[str, Any]) -> str:
    weights = "no tensors"
    if found["parameters"]:
        bits = f"{found['bits_per_weight']:.3f} bits per weight"
        weights = f"{output.human_count(found['parameters'])} parameters, {bits}"
    architecture = "no architecture" if found["architecture"] is None else escaped(str(found["architecture"]))
    return f"{architecture}, {weights}, {output.human_bytes(found['file_bytes'])}"


def _template(text: object, all: bool) -> str:
    if text is None:
        return "  none"
    if all:
        return "\n".join("  " + line for line in escaped(str(text)).split("\n"))
    return f"  {len(str(text))} characters (--all shows it)"


def _format_row(f: dict[str, Any]) -> tuple[object, ...]:
    weights, size = output.human_count(f["parameters"]), output.human_bytes(f["bytes"])
    return f["format"], f["tensors"], weights, size, f"{f['bits_per_weight']:.3f}"


def tensor_rows(tensors: Iterable[dict[str, Any]], collapse: bool) -> list[tuple[object, ...]]:
    """(name, count, shape, format, bytes, bits per weight); with `collapse`, tensors that are alike in several layers
    share a row."""
    groups: dict[tuple[str, tuple[int, ...], str], list[dict[str, Any]]] = defaultdict(list)
    for t in tensors:
        pattern = LAYER.sub("blk.*.", t["name"]) if collapse else t["name"]
        groups[pattern, tuple(t["shape"]), t["format"]].append(t)
    rows: list[tuple[object, ...]] = []
    for (pattern, dimensions, format), members in groups.items():
        name = pattern.replace("blk.*.", f"blk.{layers(t['name'] for t in members)}.", 1)
        stored, weights = sum(t["bytes"] for t in members), len(members) * math.prod(dimensions)
        bits = f"{8 * stored / weights:.3f}" if weights else "-"
        rows.append((name, len(members), shape(dimensions), format, output.human_bytes(stored), bits))
    return rows


def shape(dimensions: Sequence[int]) -> str:
    """(576, 1536) -> '576 x 1536'."""
    return " x ".join(map(str, dimensions))


def layers(names: Iterable[str]) -> str:
    """The layer numbers of tensor names, runs joined: '0-2,5,8'."""
    numbers = sorted({int(match[1]) for name in names if (match := LAYER.match(name))})
    runs: list[list[int]] = []
    for n in numbers:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def one_line(value: Any, short: bool) -> str:
    """A metadata value on one line; if `short`, at most LONG characters, or an array's FIRST elements."""
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes)):
        first = FIRST if short and len(value) > FIRST else len(value)
        more = f", ... ({len(value)} in all)" if first < len(value) else ""
        return f"[{', '.join(text(v) for v in value[:first])}{more}]"
    line = output.in_a_line(text(value))
    return f"{line[:LONG]}... ({len(line)} characters)" if short and len(line) > LONG else line


def text(value: Any) -> str:
    """A value as text. GGUF's floats are single precision: seven digits are enough."""
    value = value.item() if hasattr(value, "item") else value
    return (
        printable(value)
        if isinstance(value, str)
        else str(float(f"{value:.7g}") if isinstance(value, float) else value)
    )
