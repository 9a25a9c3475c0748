"""Where a candidate's error comes from: its weights, int8 activations, the key-value cache; and which tensors.

The reference here computes in floats: quantized tensors of either file are decoded to float32, which the engine
multiplies without rounding activations. Each source is then introduced alone:

- weights: the candidate's, decoded to float32, against the reference's;
- activations: the candidate as it runs, its activations in int8, against its own weights decoded; and the same
  rounded as llama.cpp does, which is coarser;
- cache: the reference's own weights with a quantized key-value cache;
- together: the candidate as it runs, with that cache;
- a kind of tensor: the reference's weights, with those of one kind replaced by the candidate's.

The sources' divergences need not add up to that of all together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bitwright import formats
from bitwright.engine import Engine
from bitwright.errors import UsageError
from bitwright.formats import QuantizedTensor
from bitwright.io.atomic import scratch
from bitwright.measure import next_token
from bitwright.measure.reference import ReferenceStore, store_reference
from bitwright.measure.windows import Windows, cut
from bitwright.model.model import Model
from bitwright.progress import Progress
from bitwright.recipes.roles import role
from bitwright.statistics.interval import Interval

CONTEXT, CHUNKS = 128, 12  # short chunks, many documents: the model runs a dozen times
CACHE = "q8_0"  # measured if the model runs with a float cache
Tensors = Mapping[str, QuantizedTensor]
FLOATS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Contribution:
    """The mean divergence in nats from one source alone. `kind`: "source" or "tensors"; `bytes`: of the candidate's
    tensors, 0 if not applicable."""

    name: str
    kind: str
    divergence: Interval
    bytes: int = 0


def decoded(tensors: Tensors, other: Tensors | None = None, kind: str = "") -> Tensors:
    """The tensors, those of a `kind` from `other`, with quantized ones decoded to float32."""

    def floats(name: str) -> QuantizedTensor:
        tensor = (other if other is not None and role(name) == kind else tensors)[name]
        if tensor.format.name in FLOATS:
            return tensor
        values = np.ascontiguousarray(tensor.dequantize(), np.float32)
        return QuantizedTensor(name, tensor.shape, formats.get("f32"), values.view(np.uint8))

    return {name: floats(name) for name in tensors}


def windows_of(engine: Engine, text: str) -> Windows:
    """The chunks that shares are measured on."""
    return cut(engine.tokenizer, text, CONTEXT, CHUNKS, spread_out=True)


def attribute(reference: Engine, candidate: Engine, text: str, progress: Progress | None = None) -> list[Contribution]:
    """The divergence from each source alone: sources first, then kinds of tensors, the worst first.

    UsageError if the candidate's tensors are not the reference's quantized.
    """
    kinds = _kinds(reference.model, candidate.model)
    windows = windows_of(reference, text)
    kv = candidate.options.kv
    cache = kv if kv not in ("f16", "bf16") else CACHE
    sources = list(_sources(reference, candidate, cache))
    total, done = len(sources) + len(kinds), 0
    found: list[Contribution] = []
    with scratch(Path(tempfile.gettempdir())) as folder:
        base = _predictions(_over(reference, decoded(reference.model.tensors)), windows, Path(folder, "reference"))
        own = _predictions(_over(candidate, decoded(candidate.model.tensors)), windows, Path(folder, "weights"))
        bases = {"reference": base, "weights": own}
        for name, of, engine in sources:
            found.append(Contribution(name, "source", _divergence(engine(), bases[of])))
            done += 1
            if progress:
                progress(done, total, name)
        tensors = []
        for kind, nbytes in kinds.items():
            mixed = _over(reference, decoded(reference.model.tensors, candidate.model.tensors, kind))
            tensors.append(Contribution(kind, "tensors", _divergence(mixed, base), nbytes))
            done += 1
            if progress:
                progress(done, total, kind)
    return found + sorted(tensors, key=lambda share: -share.divergence.estimate)


def _sources(reference: Engine, candidate: Engine, cache: str) -> Iterator[tuple[str, str, Callable[[], Engine]]]:
    """Name, what it is measured against, and the model."""
    theirs, ours = candidate.model.tensors, reference.model.tensors
    yield "weights", "reference", lambda: _over(candidate, decoded(theirs))
    yield "activations in int8", "weights", lambda: _over(candidate, theirs)
    yield "activations as llama.cpp", "weights", lambda: _over(candidate, theirs, activations="ggml")
    yield f"cache in {cache}", "reference", lambda: _over(reference, decoded(ours), cache)
    yield "weights and activations", "reference", lambda: _over(candidate, theirs)
    yield "all together", "reference", lambda: _over(candidate, theirs, cache)


def alike(reference: Model, candidate: Model) -> bool:
    """Whether two models have the same tensors, whatever their formats."""
    return {n: t.shape for n, t in reference.tensors.items()} == {n: t.shape for n, t in candidate.tensors.items()}


def _kinds(reference: Model, candidate: Model) -> dict[str, int]:
    """The candidate's bytes by kind of tensor, of those whose format differs from the reference's."""
    if not alike(reference, candidate):
        raise UsageError(f"{candidate.path.name} was not quantized from {reference.path.name}: their tensors differ")
    sizes: dict[str, int] = {}
    for name, info in candidate.tensors.items():
        if info.format is not reference.tensors[name].format:
            sizes[role(name)] = sizes.get(role(name), 0) + info.nbytes
    return sizes


def _over(engine: Engine, tensors: Tensors, kv: str = "f16", activations: str = "int8") -> Engine:
    """An engine with the same threads and tier but other weights."""
    options = replace(engine.options, context=CONTEXT, kv=kv, activations=activations)
    return Engine(engine.model.with_tensors(tensors), options)


def _predictions(engine: Engine, windows: Windows, folder: Path) -> ReferenceStore:
    return store_reference(engine, windows, folder, digest="decoded")


def _divergence(engine: Engine, base: ReferenceStore) -> Interval:
    scores = next_token.score_tokens(engine, base)
    return scores.mean(scores.divergences)
