"""How a GGUF file is put into rows: tensors that repeat over the layers, totals per format, metadata cut to a line."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.cli import output

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF, TensorInfo

LAYER = re.compile(r"^blk\.(\d+)\.")
FIRST = 3  # elements of a long array that are shown


def count(shape: Sequence[int]) -> int:
    return math.prod(shape)


def shape(dimensions: Sequence[int]) -> str:
    return " x ".join(map(str, dimensions))


def by_format(file: GGUF) -> list[dict[str, Any]]:
    """Totals per format, largest first."""
    sums: dict[str, dict[str, Any]] = {}
    for t in file.tensors.values():
        row = sums.setdefault(t.format.name, {"format": t.format.name, "tensors": 0, "parameters": 0, "bytes": 0})
        row["tensors"] += 1
        row["parameters"] += count(t.shape)
        row["bytes"] += t.nbytes
    for row in sums.values():
        row["bits_per_weight"] = 8 * row["bytes"] / row["parameters"] if row["parameters"] else 0.0
    return sorted(sums.values(), key=lambda row: -row["bytes"])


def tensor_rows(file: GGUF, collapse: bool) -> list[Sequence[object]]:
    """(name, count, shape, format, bytes, bits per weight); tensors alike in every layer share a row if `collapse`."""
    groups: dict[tuple[str, tuple[int, ...], str], list[TensorInfo]] = defaultdict(list)
    for t in file.tensors.values():
        pattern = LAYER.sub("blk.*.", t.name) if collapse else t.name
        groups[pattern, t.shape, t.format.name].append(t)
    rows: list[Sequence[object]] = []
    for (pattern, dimensions, format), members in groups.items():
        name = pattern.replace("blk.*.", f"blk.{layers(t.name for t in members)}.", 1)
        stored = sum(t.nbytes for t in members)
        weights = sum(count(t.shape) for t in members)
        bits = f"{8 * stored / weights:.3f}" if weights else "-"
        rows.append((name, len(members), shape(dimensions), format, output.human_bytes(stored), bits))
    return rows


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


def plain_keys(file: GGUF) -> list[str]:
    """Metadata keys that are no part of the tokenizer, which has a section of its own."""
    return [key for key in file.metadata if not key.startswith("tokenizer.")]


def tokenizer(file: GGUF) -> dict[str, Any]:
    """Kind, size and special tokens of the vocabulary; empty where the file has none."""
    metadata = file.metadata
    if "tokenizer.ggml.tokens" not in metadata:
        return {}
    tokens = metadata["tokenizer.ggml.tokens"]
    kinds = {key: metadata.get(f"tokenizer.ggml.{key}") for key in ("model", "pre")}
    described: dict[str, Any] = {key: kind for key, kind in kinds.items() if kind is not None}
    described["vocabulary"] = len(tokens)
    for key, value in metadata.items():
        if (match := re.fullmatch(r"tokenizer\.ggml\.(\w+)_token_id", key)) and 0 <= value < len(tokens):
            described[match[1]] = f"{value} {tokens[value]!r}"
        elif match := re.fullmatch(r"tokenizer\.ggml\.(add_\w+)", key):
            described[match[1]] = bool(value)
    return described


def short(file: GGUF, key: str) -> object:
    """A metadata value as JSON; an array longer than 16 as its length and first elements."""
    value = file.metadata[key]
    if is_array(value) and len(value) > 16:
        return {"length": len(value), "first": [plain(v) for v in value[:FIRST]]}
    return [plain(v) for v in value] if is_array(value) else plain(value)


def shown(file: GGUF, key: str, limit: int | None) -> str:
    """A metadata value on one line of at most `limit` characters."""
    value = file.metadata[key]
    if is_array(value):
        first = len(value) if limit is None or len(value) <= FIRST else FIRST
        text = ", ".join(str(plain(v)) for v in value[:first]) + (
            f", ... ({len(value)} in all)" if first < len(value) else ""
        )
        return f"[{text}]"
    text = str(plain(value)).replace("\n", "\\n")
    return text if limit is None or len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def is_array(value: object) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes))


def plain(value: Any) -> Any:
    """A metadata value as Python's own; GGUF's floats are single precision, so seven digits say all of one."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str):
        return output.printable(value)
    return float(f"{value:.7g}") if isinstance(value, float) else value


def indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())
