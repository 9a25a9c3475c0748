"""Where a candidate's error comes from: its weights, int8 activations, the key-value cache; and which tensors.

The reference here computes in floats: what is quantized in either file is decoded to float32, which the engine
multiplies without rounding activations. Each source is then put in alone:

- weights: the candidate's, decoded to float32, against the reference's;
- activations: the candidate as it runs, its activations in int8, against its own weights decoded; and the same
  rounded as llama.cpp does, which is coarser;
- cache: the reference's own weights with a quantized key-value cache;
- together: the candidate as it runs, with that cache;
- a kind of tensor: the reference's weights, but those of one kind are the candidate's.

Sources alone need not add up to what they do together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitwright import formats
from bitwright.engine import Model
from bitwright.errors import UsageError
from bitwright.formats import QuantizedTensor
from bitwright.io.gguf import GGUF
from bitwright.measure import next_token
from bitwright.measure.reference import ReferenceStore, store_reference
from bitwright.measure.windows import Windows, cut
from bitwright.progress import Progress
from bitwright.recipes.roles import role
from bitwright.statistics.interval import Interval

CONTEXT, CHUNKS = 128, 12  # short chunks, many documents: the model runs a dozen times
CACHE = "q8_0"  # looked at where the model runs with a float cache
FLOATS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Contribution:
    """One source alone: its mean divergence in nats. `kind`: "source" or "tensors"; `bytes`: of the candidate's
    tensors, 0 where that says nothing."""

    name: str
    kind: str
    divergence: Interval
    bytes: int = 0


class Decoded(GGUF):
    """An open file whose quantized tensors are decoded to float32; those of a `kind` come from `other`."""

    def __init__(self, file: GGUF, other: GGUF | None = None, kind: str = "") -> None:
        vars(self).update(vars(file))
        self._file, self._other, self._kind = file, other, kind

    def tensor(self, name: str) -> QuantizedTensor:
        tensor = (self._other if self._other and role(name) == self._kind else self._file).tensor(name)
        if tensor.format.name in FLOATS:
            return tensor
        values = np.ascontiguousarray(tensor.dequantize(), np.float32)
        return QuantizedTensor(name, tensor.shape, formats.get("f32"), values.view(np.uint8))


def windows_of(model: Model, text: str) -> Windows:
    """The chunks that shares are measured on."""
    return cut(model.tokenizer, text, CONTEXT, CHUNKS, spread_out=True)


def attribute(reference: Model, candidate: Model, text: str, progress: Progress | None = None) -> list[Contribution]:
    """The divergence that each source makes alone, sources first, then kinds of tensors, the worst first.

    UsageError where the candidate's tensors are not the reference's quantized.
    """
    kinds = _kinds(reference.file, candidate.file)
    windows = windows_of(reference, text)
    cache = candidate.kv if candidate.kv not in ("f16", "bf16") else CACHE
    sources = list(_sources(reference, candidate, cache))
    total, done = len(sources) + len(kinds), 0
    found: list[Contribution] = []
    with tempfile.TemporaryDirectory() as folder:
        base = _predictions(_like(reference, Decoded(reference.file)), windows, Path(folder, "reference"))
        own = _predictions(_like(candidate, Decoded(candidate.file)), windows, Path(folder, "weights"))
        bases = {"reference": base, "weights": own}
        for name, of, model in sources:
            found.append(Contribution(name, "source", _divergence(model(), bases[of])))
            done += 1
            if progress:
                progress(done, total, name)
        tensors = []
        for kind, nbytes in kinds.items():
            mixed = _like(reference, Decoded(reference.file, candidate.file, kind))
            tensors.append(Contribution(kind, "tensors", _divergence(mixed, base), nbytes))
            done += 1
            if progress:
                progress(done, total, kind)
    return found + sorted(tensors, key=lambda share: -share.divergence.estimate)


def _sources(reference: Model, candidate: Model, cache: str) -> Iterator[tuple[str, str, Callable[[], Model]]]:
    """Name, what it is measured against, and the model."""
    yield "weights", "reference", lambda: _like(candidate, Decoded(candidate.file))
    yield "activations in int8", "weights", lambda: _like(candidate, candidate.file)
    yield "activations as llama.cpp", "weights", lambda: _like(candidate, candidate.file, activations="ggml")
    yield f"cache in {cache}", "reference", lambda: _like(reference, Decoded(reference.file), cache)
    yield "weights and activations", "reference", lambda: _like(candidate, candidate.file)
    yield "all together", "reference", lambda: _like(candidate, candidate.file, cache)


def alike(reference: GGUF, candidate: GGUF) -> bool:
    """Whether a file has the tensors of another, but for their formats."""
    return {n: t.shape for n, t in reference.tensors.items()} == {n: t.shape for n, t in candidate.tensors.items()}


def _kinds(reference: GGUF, candidate: GGUF) -> dict[str, int]:
    """The candidate's bytes by kind of tensor, of those whose format differs from the reference's."""
    if not alike(reference, candidate):
        raise UsageError(f"{candidate.path.name} is not {reference.path.name} quantized: their tensors differ")
    sizes: dict[str, int] = {}
    for name, info in candidate.tensors.items():
        if info.format is not reference.tensors[name].format:
            sizes[role(name)] = sizes.get(role(name), 0) + info.nbytes
    return sizes


def _like(model: Model, file: GGUF, kv: str = "f16", activations: str = "int8") -> Model:
    """The same threads and tier over other weights."""
    return Model(file, CONTEXT, model.threads, model.forced_tier, kv, activations)


def _predictions(model: Model, windows: Windows, folder: Path) -> ReferenceStore:
    return store_reference(model, windows, folder, digest="decoded")


def _divergence(model: Model, base: ReferenceStore) -> Interval:
    scores = next_token.score_tokens(model, base)
    return scores.mean(scores.divergences)
