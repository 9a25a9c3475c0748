"""What is known of where a model needs its bits: a search that `fit --history` wrote, or what stands in for it.

For the built-in model one is part of the package (data/README.md). For other models every format's error is estimated
from a few rows of each tensor.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitwright import formats, kernels
from bitwright.errors import BitwrightError, UnknownNameError, UsageError
from bitwright.fit import survey
from bitwright.fit.budget import searched
from bitwright.fit.families import formats_for
from bitwright.fit.history import DIGITS
from bitwright.io.aliases import ALIASES
from bitwright.model.architectures import outline
from bitwright.quantizers import Quantizer
from bitwright.recipes import Recipe, Shape

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

PRESETS = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
FAMILIES = ("k", "fp4", "2bit")  # of a survey: the others take too long while someone waits
KEYS = ("tensors", "formats", "bytes", "cost", "tried", "best")


def of_file(path: Path, file: GGUF) -> dict[str, Any]:
    """The history at `path`, with `presets`. UsageError if it is none, or another model's."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: expected a history that fit wrote, found no JSON") from None
    try:
        check(data)
    except (KeyError, TypeError, ValueError, IndexError, UnknownNameError) as error:
        raise UsageError(f"{path}: expected a history that fit wrote, found other JSON ({error})") from None
    if (made := data.get("sha256")) is None:
        raise UsageError(f"{path} does not say which model it is of: let fit write it anew")
    own = {t.name for t in searched(outline.from_gguf(file))}
    if made != file.sha256() or set(data["tensors"]) != own:
        raise UsageError(
            f"{path} is the history of another model, of a file with SHA-256 {made}: {file.path.name} is not it"
        )
    names = list(data["formats"])
    return {**data, "source": "history", "presets": presets(file, data["tensors"], names)}


def check(data: Any) -> None:
    """Raises KeyError, TypeError, ValueError, IndexError or UnknownNameError unless `data` is a history."""
    tensors, names, sizes, costs, tried, best = (data[key] for key in KEYS)
    rows, columns = len(tensors), len(names)
    for name in names:
        formats.get(name)
    for table in (sizes, costs):
        if len(table) != rows or any(len(row) != columns for row in table):
            raise ValueError(f"expected {rows} rows of {columns} figures")
    if any(not isinstance(v, int | float | None) for table in (sizes, costs) for row in table for v in row):
        raise TypeError("expected figures")
    if not all(
        any(b > 0 and c is not None for b, c in zip(*row, strict=True)) for row in zip(sizes, costs, strict=True)
    ):
        raise ValueError("expected a format that can be used for every tensor")
    if not rows or not isinstance(best, int) or (tried and not 0 <= best < len(tried)):
        raise ValueError("expected tensors, and the number of the best candidate")
    for number, one in enumerate(tried):
        if len(one["levels"]) != rows or any(DIGITS.index(digit) >= columns for digit in one["levels"]):
            raise ValueError(f"candidate {number} is of other tensors")
        if not 0 <= one["parent"] < max(1, number) or len(one["chunks"]) != len(one["scores"]):
            raise ValueError(f"candidate {number} has no such parent")
        float(sum(one["scores"])), str(one["origin"]), str(one["outcome"]), int(one["generation"])


def presets(file: GGUF, tensors: Sequence[str], names: Sequence[str]) -> dict[str, list[int]]:
    """The level of each tensor in llama.cpp's file types, of those whose formats are all among `names`."""
    found = {}
    for name in PRESETS:
        assigned = Recipe.named(name).assign(Shape.of(file.metadata), list(file.tensors.values()))
        made = {a.tensor: a.format.name for a in assigned}
        if all(made[tensor] in names for tensor in tensors):
            found[name] = [names.index(made[tensor]) for tensor in tensors]
    return found


def built_in(file: GGUF) -> dict[str, Any] | None:
    """The search that the package holds, if `file` is the built-in model."""
    alias = ALIASES["smollm2-135m"]
    if file.file_bytes > 10**9 or file.sha256() != alias.sha256:
        return None
    held = resources.files(__package__) / "data/search.json.gz"
    data: dict[str, Any] = json.loads(gzip.decompress(held.read_bytes()))
    return data | {"source": "built-in"}


def surveyed(file: GGUF, threads: int | None = None) -> dict[str, Any]:
    """Relative errors: the squared error of some rows over their squares, for every tensor and format; no search."""
    shape = outline.from_gguf(file)
    tensors = searched(shape)
    own = [formats_for(t, shape.architecture, FAMILIES) for t in tensors]
    if not tensors:
        raise BitwrightError(f"{file.path.name}: no tensor of it is ever quantized")
    used = sorted({f for found in own for f in found}, key=lambda f: (f.bits_per_weight, f.name))
    sizes = np.zeros((len(tensors), len(used)), np.int64)
    errors = np.full(sizes.shape, np.inf)
    quantizer = Quantizer(threads=threads)
    for row, (tensor, found) in enumerate(zip(tensors, own, strict=True)):
        columns = [used.index(f) for f in found]
        sizes[row, columns] = [f.stored_bytes(tensor.shape) for f in found]
        whole = file.tensor(tensor.name)
        errors[row, columns] = survey.costs(whole, found, quantizer) / squares(whole, threads)
        file.release()
    names = [f.name for f in used]
    costs = [[float(e) if np.isfinite(e) else None for e in row] for row in errors]
    listed = [t.name for t in tensors]
    return {"source": "survey", "tensors": listed, "formats": names, "bytes": sizes.tolist(), "cost": costs,
            "presets": presets(file, listed, names), "tried": [], "best": 0}  # fmt: skip


def squares(tensor: Any, threads: int | None) -> float:
    """Half the sum of a tensor's squares, estimated from the rows that the survey takes."""
    stored = tensor.data.reshape(-1, tensor.data.shape[-1])
    places = ((np.arange(survey.ROWS) + 0.5) / survey.ROWS * len(stored)).astype(int)
    values = kernels.dequantize(tensor.format, np.ascontiguousarray(stored[places]), threads)
    return max(0.5 * len(stored) * float((values * values).sum()) / survey.ROWS, np.finfo(np.float64).tiny)


def known(file: GGUF, history: Path | None, threads: int | None = None) -> Mapping[str, Any]:
    """What is known of a model: the user's history, the package's, or a survey."""
    if history is not None:
        return of_file(history, file)
    return built_in(file) or surveyed(file, threads)
