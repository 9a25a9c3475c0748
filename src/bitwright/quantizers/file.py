"""Quantize a model file tensor by tensor, with only one tensor in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration import ActivationStatistics
from bitwright.calibration import read as read_statistics
from bitwright.errors import FileFormatError, UnsupportedError, UsageError
from bitwright.formats import Format, QuantizedTensor
from bitwright.formats.tensor import HasShape
from bitwright.io import atomic, gguf, inputs, kinds
from bitwright.model import files
from bitwright.quantizers import caveats
from bitwright.quantizers.metadata import metadata_of, provenance
from bitwright.quantizers.quantizer import EFFORT, Quantizer
from bitwright.quantizers.tensor import can_encode, encodable_names
from bitwright.recipes import Assignment, Pattern, Recipe, Shape, find

Progress = Callable[[float, float, str], object]


@dataclass(frozen=True)
class QuantizeResult:
    """output: None after a dry run, the first file of a set. bytes: of the file, or of the set; exact after a dry run
    too. source_bytes: of the source. bits_per_weight: all tensors' bits over all their weights. methods: how the codes
    of each assignment are chosen, "" if the tensor stays as it is.
    warnings: what the user should know, one line each."""

    output: Path | None
    bytes: int
    source_bytes: int
    bits_per_weight: float
    assignments: list[Assignment] = field(repr=False)
    methods: list[str] = field(repr=False)
    seconds: float
    warnings: list[str]


Built = Callable[[str, Format], QuantizedTensor | None]  # a tensor in a format


def nothing(name: str, format: Format) -> None:
    """No tensor was encoded before."""


@inputs.protected()
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
    built: Built = nothing,
    most_bytes: int | None = None,
    lora: str | Path | None = None,
) -> QuantizeResult:
    """Write the model `source` to `output`, each tensor in the format that `recipe` gives it.

    recipe: a `Recipe`, the name of one of llama.cpp's file types, or a .toml file. tensor_types: "REGEX=FORMAT",
    patterns in front of the recipe's. dry_run: only assign formats. progress(done, total, tensor name) is called before
    each tensor, in units of work. stats: activation statistics or a file of them, llama.cpp's imatrix too. method,
    effort: see `Quantizer`. built: tensors that were encoded so before, None for the others. most_bytes: a larger file
    becomes a set of files (`gguf.write_parts`). lora: an adapter for `source` (`files.open`). Metadata and the order of
    tensors stay. The file appears in full or not at all.

    Raises UnknownNameError for an unknown recipe, format or method; UnsupportedError for a format that cannot be
    encoded; UsageError for an output that must not be written (`atomic.check`), a pattern that matches nothing, or
    statistics unsuitable for the method; BitwrightError naming the tensor for a value that is not finite or too large
    for its format, or for statistics of another model.
    """
    started = time.monotonic()
    overrides = _overrides(tensor_types)
    recipe = (recipe if isinstance(recipe, Recipe) else find(recipe)).preceded(overrides)
    model = files.open(source, lora)
    kinds.check_model(model)
    tensors = list(model.tensors.values())
    if not tensors:
        raise FileFormatError(model.path, None, "tensors to quantize", "none")
    statistics = fitted(stats, model)
    quantizer = Quantizer(method, effort, statistics, threads)
    shape = Shape.of(model.metadata)
    unmatched = recipe.unmatched(shape, tensors)
    if unmatched and unmatched[0] in overrides:
        raise UsageError(f"--tensor-type {unmatched[0].regex!r} matches no tensor that is quantized")
    assignments = recipe.assign(shape, tensors, statistics is not None)
    changed = [(t, a) for t, a in zip(tensors, assignments, strict=True) if a.format is not t.format]
    _check_formats(a for _, a in changed)
    target = None if output is None else Path(output)
    if target is not None:
        atomic.check(target)
    metadata = dict(model.metadata.typed())
    if recipe != Recipe():  # which keeps every format, and so all else
        metadata = metadata_of(recipe, metadata)
    metadata |= provenance(stats, statistics)
    if dry_run:
        size = gguf.layout(metadata, ((a.tensor, model.tensors[a.tensor].shape, a.format) for a in assignments)).total
    elif target is None:
        raise UsageError("quantize needs an output unless it is a dry run")
    elif most_bytes is None:
        size = gguf.write(target, metadata, streamed(model, assignments, quantizer, progress, built))
    else:
        stream = streamed(model, assignments, quantizer, progress, built)
        parts = gguf.write_parts(target, metadata, stream, most_bytes)
        target, size = parts[0], sum(part.stat().st_size for part in parts)
    return QuantizeResult(
        output=None if dry_run else target,
        bytes=size,
        source_bytes=model.file_bytes,
        bits_per_weight=bits_per_weight(tensors, assignments),
        assignments=assignments,
        methods=[quantizer.method_of(t, a.format) for t, a in zip(tensors, assignments, strict=True)],
        seconds=time.monotonic() - started,
        warnings=[
            *caveats.unmatched(unmatched),
            *caveats.other_parts(model.left_out),
            *caveats.quantized_source(changed, model.stored_as),
            *caveats.missing_importance(recipe, assignments, statistics),
            *caveats.not_covered(quantizer, changed),
            *caveats.unreached(quantizer, changed),
            *caveats.without_importance(quantizer, changed),
            *caveats.without_feedback(quantizer, changed),
        ],
    )


def fitted(stats: str | Path | ActivationStatistics | None, model: gguf.GGUF) -> ActivationStatistics | None:
    """Statistics, or a file of them, for the tensors of a model. BitwrightError for those of another model."""
    if stats is None or isinstance(stats, ActivationStatistics):
        return None if stats is None else stats.fitted(model.tensors, "stats")
    return read_statistics(stats).fitted(model.tensors, stats)


def bits_per_weight(tensors: Iterable[HasShape], assignments: Iterable[Assignment]) -> float:
    """All bits that are assigned over all weights."""
    return 8 * sum(a.bytes for a in assignments) / max(1, sum(math.prod(t.shape) for t in tensors))


def _overrides(texts: Iterable[str]) -> list[Pattern]:
    try:
        return [Pattern.parse(text) for text in texts]
    except UsageError as error:
        raise UsageError(f"--tensor-type: {error}") from None


def _check_formats(assignments: Iterable[Assignment]) -> None:
    for a in assignments:
        if a.format.ggml is None:
            raise UsageError(f"tensor {a.tensor}: GGUF has no type for the format {a.format.name}")
        if not can_encode(a.format):
            raise UnsupportedError(f"tensor {a.tensor}: encoding to", a.format.name, encodable_names())


Streamed = tuple[str, tuple[int, ...], Format, Callable[[], NDArray[np.uint8]]]


def streamed(
    model: gguf.GGUF, assignments: Iterable[Assignment], quantizer: Quantizer, progress: Progress | None, built: Built
) -> Iterable[Streamed]:
    """The tensors as `gguf.write` takes them, which asks for the bytes of each in turn."""
    works = {a.tensor: quantizer.work(model.tensors[a.tensor], a.format) for a in assignments}
    total, done = sum(works.values()), 0.0

    def data(name: str, format: Format) -> NDArray[np.uint8]:
        nonlocal done
        if progress is not None:
            progress(done, total, name)
        done += works[name]
        model.release()  # pages of the previous tensor
        found = built(name, format)
        return (quantizer.quantize(model.tensor(name), format) if found is None else found).data

    for a in assignments:
        yield a.tensor, model.tensors[a.tensor].shape, a.format, partial(data, a.tensor, a.format)
