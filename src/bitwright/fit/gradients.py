"""What each format of a tensor would cost, from gradients: one forward and backward pass for each chunk of text.

Near the original, the KL divergence of the model is half its Fisher information along the change ΔW of a weight. For a
chunk of T tokens with labels drawn from the model's own prediction (as in `calibration.second_moments`), let G be the
gradient of their summed log-likelihood with respect to the weight. Its mean is zero and labels are independent, so
E⟨G, ΔW⟩² is the sum over tokens of the Fisher information along ΔW, and the divergence per token is

    KL(tensor, format) = E⟨G, ΔW⟩² / 2T.

Unlike a sum over single tokens and rows, this counts how errors of a shared tensor add up or cancel over a text. Each
chunk gives one sample, whose square spreads like χ² with one degree of freedom: over S chunks, the relative standard
error is √(2/S), 29% for 24.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.calibration.labels import sampled
from bitwright.calibration.partial import SAVE_SECONDS, Pass
from bitwright.calibration.texts import digest
from bitwright.errors import UnsupportedError, UsageError
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels.ops import Op
from bitwright.kernels.sharing import Sharing, single_blas
from bitwright.kernels.tape import Tape, missing
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.model.model import Model

SLICE = 1 << 18  # weights at a time for each thread: gradient, original and decoded format stay in its cache

Encoded = Callable[[str, Format], QuantizedTensor]  # a tensor of the model in a format, such as `Palette.tensor`
Array = NDArray[Any]


def gradient_dots(
    model: Model,
    pieces: NDArray[np.int32],
    tensors: Sequence[str],
    formats: Sequence[Format],
    encoded: Encoded,
    allowed: NDArray[np.bool_] | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> NDArray[np.float64]:
    """⟨G, ΔW⟩ (chunks, tensors, formats) for each chunk of `pieces` (chunks, tokens), each a text of its own.

    `allowed` (tensors, formats) says which formats to look at, None all whose blocks divide the rows; the others are
    infinite. `seed` is that of the labels. `keep` is a file in which the dots are saved every two minutes: a killed run
    resumes there, and the file stays. Every format is decoded once for each chunk, a slice at a time; in memory are the
    tape's values (1 GiB at most, plus one layer of the model) and 4 MiB for each thread.

    Raises UnsupportedError if an op of the model has no gradient, UsageError for a tensor that no product or look-up
    reads, or a file of another run.
    """
    if lacking := missing(model.step):
        raise UnsupportedError("the gradient of", ", ".join(lacking), ["costs by layer"])
    if allowed is None:
        widths = [model.tensors[name].shape[-1] for name in tensors]
        allowed = np.array([[width % format.block_size == 0 for format in formats] for width in widths])
    forms = {
        name: {j: encoded(name, formats[j]) for j in np.flatnonzero(own).tolist()}
        for name, own in zip(tensors, allowed, strict=True)
    }
    sharing = Sharing(threads)
    tape = Tape(model.step, lambda name, rows: _decoded(model.tensors[name], rows, sharing.threads), sharing=sharing)
    reading = [part for part, ops in enumerate(tape.parts) for op in ops if forms.keys() & {*_read(op)}]
    read = {name for op in model.step.ops for name in _read(op)}
    if strange := [name for name in tensors if name not in read]:
        raise UsageError(f"{strange[0]}: no product or look-up of {model.path.name} reads this tensor")
    sums = Dots(np.where(allowed, 0.0, np.inf), len(pieces))
    kept = (
        Pass(keep, f"{model.sha256()} {digest(pieces)} {seed} {_digest(forms)}", keep, "sensitivities")
        if keep
        else None
    )
    done, saved = kept.restore([sums]) if kept else 0, time.monotonic()
    with single_blas():
        for number in range(done, len(pieces)):
            chunk = _Chunk(
                model, pieces[number], forms, sums.values[number], {n: i for i, n in enumerate(tensors)}, sharing
            )
            tape.gradients(pieces[number], sampled(seed, number, pieces.shape[1]), chunk.visit, min(reading))
            last = number + 1 == len(pieces)
            if kept and (last or time.monotonic() - saved > SAVE_SECONDS):
                kept.save([sums], number + 1)
                saved = time.monotonic()
            if progress:
                progress(number + 1, len(pieces), "")
    return sums.values


def mean_costs(dots: NDArray[np.float64], tokens: int) -> NDArray[np.float64]:
    """The KL divergence (tensors, formats) in nats per token of dots (chunks, tensors, formats) over such chunks."""
    costs: NDArray[np.float64] = np.square(dots).mean(axis=0) / (2 * tokens)
    return costs


class Dots:
    """Sums that can be saved: `values` (chunks, tensors, formats)."""

    def __init__(self, first: NDArray[np.float64], chunks: int) -> None:
        self.values = np.repeat(first[None], chunks, axis=0)

    def state(self) -> dict[str, Array]:
        """The dots as a named array."""
        return {"dots": self.values}

    def restore(self, state: Callable[[str], Array]) -> None:
        """Continue from saved dots."""
        self.values[:] = state("dots")


class _Chunk:
    """Adds to `dots` (tensors, formats) what the tape finds in one chunk of tokens. An op may be visited for some
    tokens at a time, and a tensor be read by two ops: dots are sums over both."""

    def __init__(
        self,
        model: Model,
        tokens: Array,
        forms: dict[str, dict[int, QuantizedTensor]],
        dots: NDArray[np.float64],
        places: dict[str, int],
        sharing: Sharing,
    ) -> None:
        self.model, self.tokens, self.forms, self.dots, self.places = model, tokens, forms, dots, places
        self.sharing = sharing

    def visit(self, op: Op, inputs: list[Array], gradient: Array | None) -> None:
        """For the tape."""
        if gradient is None or not self.forms.keys() & {*_read(op)}:
            return
        if op.kind == "embed":
            rows, of = np.unique(self.tokens, return_inverse=True)
            summed = np.zeros((len(rows), gradient.shape[1]), np.float32)
            np.add.at(summed, of, gradient * np.float32(op.attributes["scale"]))
            self._add(op.weights[0], [rows], lambda _: summed)
        else:
            count, columns = self.model.tensors[op.weights[0]].shape
            step = max(1, SLICE // columns)
            parts = [slice(start, start + step) for start in range(0, count, step)]
            self._add(op.weights[0], parts, lambda part: gradient[:, part].T @ inputs[0])

    def _add(self, name: str, parts: Sequence[Any], gradient: Callable[[Any], Array]) -> None:
        """Add the dots of `parts`, each some rows of the tensor, with gradient(rows)."""
        found = np.zeros((len(parts), self.dots.shape[1]))
        tensor, forms = self.model.tensors[name], self.forms[name]

        def work(index: int) -> None:
            own, original = gradient(parts[index]).ravel(), _decoded(tensor, parts[index]).ravel()
            for level, form in forms.items():
                change = _decoded(form, parts[index]).ravel()
                change -= original
                found[index, level] = own @ change

        self.sharing.each(work, range(len(parts)))
        self.dots[self.places[name]] += found.sum(axis=0)


def _read(op: Op) -> tuple[str, ...]:
    """The matrix that an op multiplies by or looks up."""
    return op.weights[:1] if op.kind in ("linear", "embed") else ()


def _decoded(tensor: QuantizedTensor, rows: Any = None, threads: int = 1) -> Array:
    data = tensor.data if rows is None else tensor.data[rows]
    return kernels.dequantize(tensor.format, data, threads=threads)


def _digest(forms: dict[str, dict[int, QuantizedTensor]]) -> str:
    """Tells whether tensors, formats or their encoding are those of an earlier run, by the first row of each."""
    found = hashlib.sha256()
    for name, own in forms.items():
        for level, form in own.items():
            found.update(f"{name} {level} {form.format.name} {form.shape}".encode())
            found.update(form.data[:1].tobytes())
    return found.hexdigest()
