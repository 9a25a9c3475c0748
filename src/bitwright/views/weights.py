"""How a model's weights are spread: each matrix in a few numbers, and one in detail."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.measure.values import summarize
from bitwright.recipes.roles import role
from bitwright.views.plain import plain
from bitwright.views.rows import LAYER, parts
from bitwright.views.tensor import tensor

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

BINS = 81
MOST_CHANNELS = 1024  # drawn; of more, runs of neighbours are one


def matrices(file: GGUF) -> list[str]:
    """The names of the tensors of two dimensions or more."""
    return [t.name for t in file.tensors.values() if len(t.shape) > 1]


def weights(file: GGUF, threads: int | None = None) -> dict[str, Any]:
    """tensors[{name, layer (None: outside layers), role, shape, format, and what `extreme` finds}] of all matrices;
    first: the one with the weight farthest from the others."""
    names = matrices(file)
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda name: extreme(file, name), names))
    tensors = []
    for name, numbers in zip(names, found, strict=True):
        info, layer = file.tensors[name], LAYER.match(name)
        about = {"name": name, "layer": int(layer[1]) if layer else None, "role": role(name), "shape": info.shape}
        tensors.append(about | {"format": info.format.name} | numbers)
    inside = [t for t in tensors if t["layer"] is not None and np.isfinite(t["deviations"])] or tensors
    first = max(inside, key=lambda t: abs(t["deviations"]), default=None)
    return plain({"tensors": tensors, "first": first and first["name"]})


def extreme(file: GGUF, name: str) -> dict[str, Any]:
    """standard_deviation, and the weight farthest from 0: value, index, deviations (its distance from the mean in
    standard deviations; 0 if all weights are equal)."""
    count, total, squares, value, place = 0, 0.0, 0.0, 0.0, 0
    for part in parts(file, name):
        flat = part.reshape(-1)
        for at in (int(flat.argmax()), int(flat.argmin())):
            if abs(flat[at]) > abs(value):
                value, place = float(flat[at]), count + at
        total += float(flat.sum(dtype=np.float64))
        squares += float(np.dot(flat, flat))
        count += flat.size
    mean = total / count
    deviation = max(0.0, squares / count - mean * mean) ** 0.5
    index = [int(i) for i in np.unravel_index(place, file.tensors[name].shape)]
    deviations = (value - mean) / deviation if deviation else 0.0
    return {"standard_deviation": deviation, "value": value, "index": index, "deviations": deviations}


def values(file: GGUF, name: str) -> dict[str, Any]:
    """What `inspect --tensor` prints, with a finer histogram; columns and rows{run, loudness[]}: the root of the mean
    square of each column (input) and row (output), of the loudest of each `run` neighbours where there are many."""
    info = file.tensors[name]
    columns, lines = np.zeros(info.shape[-1]), []
    read = []
    for part in parts(file, name):
        read.append(part)
        squares = np.square(part, dtype=np.float64)
        columns += squares.sum(axis=0)
        lines.append(squares.mean(axis=1))
    rows = np.concatenate(lines)
    found = tensor(info, summarize(np.concatenate(read).reshape(info.shape), bins=BINS))
    return plain(found | {"columns": _loudness(np.sqrt(columns / len(rows))), "rows": _loudness(np.sqrt(rows))})


def _loudness(channels: NDArray[np.float64]) -> dict[str, Any]:
    run = -(-len(channels) // MOST_CHANNELS)
    loudest: Sequence[float] = np.maximum.reduceat(channels, np.arange(0, len(channels), run)).tolist()
    return {"run": run, "loudness": [float(f"{value:.4g}") for value in loudest]}
