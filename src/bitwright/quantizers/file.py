"""A model file to a smaller one, a tensor at a time: never more in memory than one tensor."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration import ActivationStatistics
from bitwright.calibration import read as read_statistics
from bitwright.errors import FileFormatError, UnsupportedError, UsageError
from bitwright.formats import Format
from bitwright.io import gguf, hub
from bitwright.progress import Progress
from bitwright.quantizers.encoding import EFFORT, PLAIN, Encoding
from bitwright.quantizers.tensor import can_encode, encodable
from bitwright.recipes import FILE_TYPES, Assignment, Pattern, Recipe, Shape, find
from bitwright.recipes.recipe import NEEDS_IMPORTANCE
from bitwright.recipes.roles import role

FILE_TYPE = "general.file_type"
QUANTIZATION_VERSION = 2  # of ggml's block layouts


@dataclass(frozen=True)
class QuantizeResult:
    """output: None after a dry run. bytes: of the file, which a dry run knows too. bits_per_weight: all tensors' bits
    over all their weights. methods: how each assignment's codes are chosen, "" where the tensor stays as it is.
    warnings: what the user should know, a line each."""

    output: Path | None
    bytes: int
    bits_per_weight: float
    assignments: list[Assignment]
    methods: list[str]
    seconds: float
    warnings: list[str]


def quantize(
    source: str | Path,
    recipe: str | Path | Recipe,
    output: str | Path | None,
    tensor_types: Sequence[str] = (),
    dry_run: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    stats: str | Path | ActivationStatistics | None = None,
    method: str | None = None,
    effort: int = EFFORT,
) -> QuantizeResult:
    """Writes the model `source` to `output` with every tensor in the format that `recipe` gives it.

    tensor_types: "REGEX=FORMAT", the first whose pattern is found in a tensor's name decides. dry_run: assign only.
    progress(done, total, tensor name) is called before each tensor, in shares of the work. Metadata and the order of
    tensors stay. The file appears whole or not at all. stats: what `calibrate` gathered, or a file of it, llama.cpp's
    too: errors then count by what their column is multiplied by. method: "feedback" (needs stats with second moments),
    "search" or "rtn", see `Encoding`; None: the first of them that can be. effort: 0 to 3, of feedback.

    Raises UnknownNameError for an unknown recipe, format or method, UnsupportedError for a format that cannot be
    encoded, UsageError for an output that cannot be or statistics that do not serve the method, BitwrightError naming
    the tensor where a value is not finite or too large for its format, or where the statistics are not of this model.
    """
    started = time.monotonic()
    recipe = (recipe if isinstance(recipe, Recipe) else find(recipe)).preceded(_overrides(tensor_types))
    model = gguf.open(hub.resolve(str(source)))
    tensors = list(model.tensors.values())
    if not tensors:
        raise FileFormatError(model.path, None, "tensors to quantize", "none")
    statistics = read_statistics(stats) if isinstance(stats, str | Path) else stats
    if statistics is not None:
        statistics.check(model.tensors, stats if isinstance(stats, str | Path) else "stats")
    encoding = Encoding(method, effort, statistics, threads)
    shape = Shape.of(model.metadata)
    unmatched = recipe.unmatched(shape, tensors)
    if unmatched and unmatched[0] in recipe.patterns[: len(tensor_types)]:
        raise UsageError(f"--tensor-type {unmatched[0].regex!r} matches no tensor that is quantized")
    assignments = recipe.assign(shape, tensors, statistics is not None)
    changed = [(t, a) for t, a in zip(tensors, assignments, strict=True) if a.format is not t.format]
    for tensor, assignment in changed:
        if assignment.format.ggml is None:
            raise UsageError(f"tensor {tensor.name}: GGUF has no type for the format {assignment.format.name}")
        if not can_encode(assignment.format):
            raise UnsupportedError(f"tensor {tensor.name}: encoding to", assignment.format.name, encodable())
    target = None if output is None else _target(Path(output), model.paths)
    metadata = metadata_of(recipe, model.metadata.typed()) | _provenance(stats, statistics)
    if dry_run:
        size = gguf.layout(metadata, ((a.tensor, model.tensors[a.tensor].shape, a.format) for a in assignments)).total
    elif target is None:
        raise UsageError("quantize needs an output unless it is a dry run")
    else:
        size = gguf.write(target, metadata, _stream(model, assignments, encoding, progress))
    weights = sum(math.prod(t.shape) for t in tensors)
    return QuantizeResult(
        output=None if dry_run else target,
        bytes=size,
        bits_per_weight=8 * sum(a.bytes for a in assignments) / max(1, weights),
        assignments=assignments,
        methods=[encoding.method_of(t, a.format) for t, a in zip(tensors, assignments, strict=True)],
        seconds=time.monotonic() - started,
        warnings=[
            *_unmatched(unmatched),
            *_requantized(changed),
            *_starved(recipe, assignments, statistics),
            *_without_feedback(encoding, changed),
        ],
    )


def _overrides(texts: Iterable[str]) -> list[Pattern]:
    try:
        return [Pattern.parse(text) for text in texts]
    except UsageError as error:
        raise UsageError(f"--tensor-type: {error}") from None


def _target(output: Path, sources: Sequence[Path]) -> Path:
    if not output.parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {output.parent}")
    if output.exists() and not output.is_file():
        raise UsageError(f"cannot write {output}: it is not a regular file")
    if any(output.exists() and os.path.samefile(output, source) for source in sources):
        raise UsageError(f"cannot write {output}: it is the source itself")
    return output


def metadata_of(recipe: Recipe, source: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a file that the recipe makes, from its source's."""
    metadata = dict(source)
    if recipe.file_type is None:  # llama.cpp then infers it from the tensors
        metadata.pop(FILE_TYPE, None)
    else:
        metadata[FILE_TYPE] = gguf.Typed(FILE_TYPES[recipe.file_type].number, "uint32")
    metadata["general.quantization_version"] = gguf.Typed(QUANTIZATION_VERSION, "uint32")
    return metadata


def _provenance(stats: object, statistics: ActivationStatistics | None) -> dict[str, gguf.Typed]:
    """Where the importance came from, under llama.cpp's keys."""
    if statistics is None:
        return {}
    return {
        "quantize.imatrix.file": gguf.Typed(Path(stats).name if isinstance(stats, str | Path) else "", "string"),
        "quantize.imatrix.dataset": gguf.Typed(", ".join(statistics.texts), "string"),
        "quantize.imatrix.entries_count": gguf.Typed(len(statistics.squares), "uint32"),
        "quantize.imatrix.chunks_count": gguf.Typed(statistics.chunks, "uint32"),
    }


Streamed = tuple[str, tuple[int, ...], Format, Callable[[], NDArray[np.uint8]]]


def _stream(
    model: gguf.GGUF, assignments: Iterable[Assignment], encoding: Encoding, progress: Progress | None
) -> Iterable[Streamed]:
    """What `gguf.write` takes: each tensor's bytes are made when its turn comes."""
    works = {a.tensor: encoding.work(model.tensors[a.tensor], a.format) for a in assignments}
    total, done = sum(works.values()), 0.0

    def data(name: str, format: Format) -> NDArray[np.uint8]:
        nonlocal done
        if progress is not None:
            progress(done, total, name)
        done += works[name]
        model.release()  # what the tensor before was read from
        return encoding.encode(model.tensor(name), format)

    for a in assignments:
        yield a.tensor, model.tensors[a.tensor].shape, a.format, partial(data, a.tensor, a.format)


def _unmatched(patterns: Sequence[Pattern]) -> list[str]:
    if not patterns:
        return []
    several = f"{len(patterns)} patterns of the recipe match" if patterns[1:] else "1 pattern of the recipe matches"
    return [f"{several} no tensor that is quantized: {patterns[0].regex}{', ...' if patterns[1:] else ''}"]


def _requantized(changed: Iterable[tuple[gguf.TensorInfo, Assignment]]) -> list[str]:
    names = sorted({tensor.format.name for tensor, _ in changed if tensor.format.ggml not in PLAIN})
    if not names:
        return []
    return [f"the source is quantized already ({', '.join(names)}): its errors stay and add up; prefer a float source"]


def _starved(recipe: Recipe, assignments: Iterable[Assignment], statistics: ActivationStatistics | None) -> list[str]:
    """What llama.cpp refuses to write without an importance: the smallest formats, and a file that is all Q2_K."""
    needing = NEEDS_IMPORTANCE | ({"q2_k"} if recipe.file_type == "q2_k_s" else set())
    known = statistics.squares if statistics else {}
    without = (a for a in assignments if a.tensor not in known)
    count = sum(a.format.name in needing and role(a.tensor) not in ("output", "token_embd") for a in without)
    return [f"{count} tensors have so few bits that without an importance much is lost"] if count else []


def _without_feedback(encoding: Encoding, changed: Iterable[tuple[gguf.TensorInfo, Assignment]]) -> list[str]:
    """Where feedback was asked for by name and some tensors could not have it."""
    without = [
        t.name for t, a in changed if encoding.method == "feedback" and encoding.method_of(t, a.format) != "feedback"
    ]
    if not without:
        return []
    return [f"{len(without)} tensors have no second moments or a format without feedback: searched: {without[0]}, ..."]
