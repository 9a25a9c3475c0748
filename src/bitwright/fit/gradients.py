"""What each format of a tensor would cost, from gradients: one forward and backward pass for each chunk of text.

Near the original, the KL divergence of the model is half its Fisher information along the change ΔW of a weight. For a
chunk of T tokens with labels drawn from the model's own prediction (as in `calibration.second_moments`), let G be the
gradient of their summed log-likelihood with respect to the weight. Its mean is zero and labels are independent, so
E⟨G, ΔW⟩² is the sum over tokens of the Fisher information along ΔW, and the divergence per token is

    KL(tensor, format) = E⟨G, ΔW⟩² / 2T.

Each chunk gives one sample of it, whose square spreads like χ² with one degree of freedom: 24 chunks leave a standard
error of 29%. But nearly all of that comes from products of different rows r, and the errors of rows are as likely to
agree as not. Without those products, Σ_r ⟨G_r, ΔW_r⟩² has the same mean and nearly no noise: a few chunks are enough.
Unlike errors of layers, this counts how the errors of one weight add up or cancel over the tokens of a text.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import bitwright
from bitwright.calibration.labels import sampled
from bitwright.calibration.partial import Pass
from bitwright.calibration.texts import digest
from bitwright.errors import UnsupportedError, UsageError
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels.ops import Experts, Op
from bitwright.kernels.products import decoded
from bitwright.kernels.sharing import Sharing, single_blas
from bitwright.kernels.tape import Tape, missing
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.model.model import Model

SLICE = 1 << 18  # weights at a time for each thread: gradient, original and decoded format stay in its cache

Encoded = Callable[[str, Format], QuantizedTensor]  # a tensor of the model in a format, such as `Palette.tensor`
Array = NDArray[Any]


def gradient_sums(
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
    limit: Callable[[float], int] | None = None,
) -> Sums:
    """Products of gradients and errors over `pieces` (chunks, tokens), each a text of its own; `costs` of the result
    are the divergences (tensors, formats).

    `allowed` (tensors, formats) says which formats to look at, None all whose blocks divide the rows; the others are
    infinite. `seed` is that of the labels. `keep` is a folder in which the sums are saved after each chunk, under a
    name made from all that decides them: a killed run resumes there, and a finished one is not computed again. `limit`,
    given the seconds of the first chunk, says how many chunks to use. Every format is decoded once for each chunk, a
    slice at a time; in memory are the tape's values (1 GiB at most, plus one layer of the model), 4 MiB for each thread
    and 4 bytes for each row of a tensor and format.

    Raises UnsupportedError if an op of the model has no gradient, UsageError for a tensor that no product or look-up
    reads, or a damaged file in `keep`.
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
    tape = Tape.over(model.step, model.tensors, sharing)
    reading = [part for part, ops in enumerate(tape.parts) for op in ops if forms.keys() & {*_read(op)}]
    read = {name for op in model.step.ops for name in _read(op)}
    if strange := [name for name in tensors if name not in read]:
        raise UsageError(f"{strange[0]}: no product or look-up of {model.path.name} reads this tensor")
    sums = Sums(allowed, *pieces.shape)
    kept = _kept(keep, model, pieces, seed, forms) if keep else None
    done = kept.restore([sums]) if kept else 0
    count = limit(0.0) if limit and done else len(pieces)
    with single_blas():
        while done < count:
            started, number = time.monotonic(), done
            chunk = _Chunk(model, pieces[number], forms, len(formats), sharing)
            tape.gradients(pieces[number], sampled(seed, number, pieces.shape[1]), chunk.visit, min(reading))
            sums.add(number, [chunk.products[name].reshape(-1, len(formats)) for name in tensors])
            done += 1
            if limit and done == 1:
                count = limit(time.monotonic() - started)
            if kept:
                kept.save([sums], done)
            if progress:
                progress(done, count, "")
    return sums.first(count)


class Sums:
    """For each chunk, tensor and format: `dots` ⟨G, ΔW⟩, and `squares`, those of single rows squared and summed."""

    def __init__(self, allowed: NDArray[np.bool_], chunks: int, tokens: int) -> None:
        self.allowed, self.tokens = allowed, tokens
        self.dots, self.squares = (np.zeros((chunks, *allowed.shape)) for _ in range(2))

    def add(self, number: int, products: Sequence[Array]) -> None:
        """Of chunk `number`, for each tensor: the products ⟨G_r, ΔW_r⟩ (rows, formats)."""
        for place, own in enumerate(products):
            self.dots[number, place] = own.sum(axis=0, dtype=np.float64)
            self.squares[number, place] = np.square(own, dtype=np.float64).sum(axis=0)

    @property
    def costs(self) -> NDArray[np.float64]:
        """The KL divergence (tensors, formats) in nats per token, if the errors of rows are independent."""
        return self._mean(self.squares)

    @property
    def coherent(self) -> NDArray[np.float64]:
        """The same without that assumption, with much more noise."""
        return self._mean(np.square(self.dots))

    def _mean(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(self.allowed, squares.mean(axis=0) / (2 * self.tokens), np.inf)

    def first(self, count: int) -> Sums:
        """Those of the first chunks."""
        found = Sums(self.allowed, count, self.tokens)
        found.dots, found.squares = self.dots[:count], self.squares[:count]
        return found

    def state(self) -> dict[str, Array]:
        """The sums as named arrays."""
        return {"dots": self.dots, "squares": self.squares}

    def restore(self, state: Callable[[str], Array]) -> None:
        """Continue from saved sums."""
        self.dots[:], self.squares[:] = state("dots"), state("squares")


class _Chunk:
    """What the tape finds in one chunk of tokens: `products` ⟨G_r, ΔW_r⟩ (..., rows, formats) of each tensor. An op may
    be visited for some tokens at a time, and a tensor be read by two ops: products add up over all."""

    def __init__(
        self, model: Model, tokens: Array, forms: dict[str, dict[int, QuantizedTensor]], formats: int, sharing: Sharing
    ) -> None:
        self.model, self.tokens, self.forms, self.sharing = model, tokens, forms, sharing
        self.products = {name: np.zeros((*model.tensors[name].shape[:-1], formats), np.float32) for name in forms}

    def visit(self, op: Op, inputs: list[Array], gradient: Array | None) -> None:
        """For the tape."""
        if gradient is None or not self.forms.keys() & {*_read(op)}:
            return
        if op.kind == "embed":
            rows, of = np.unique(self.tokens, return_inverse=True)
            summed = np.zeros((len(rows), gradient.shape[1]), np.float32)
            np.add.at(summed, of, gradient * np.float32(op.attributes["scale"]))
            self._add(op.weights[0], [rows], lambda _: summed)
        elif isinstance(op, Experts):
            x, choices = inputs
            back = op.slots(gradient, choices)
            sent = {e: (slots, own) for e, slots, own in op.sent(x, choices, self.model.tensors[op.weight].shape[2])}
            self._add(op.weight, [*sent], lambda expert: back[sent[expert][0]].T @ sent[expert][1])
        else:
            count, columns = self.model.tensors[op.weights[0]].shape
            step = max(1, SLICE // columns)
            parts = [slice(start, start + step) for start in range(0, count, step)]
            self._add(op.weights[0], parts, lambda part: gradient[:, part].T @ inputs[0])

    def _add(self, name: str, parts: Sequence[Any], gradient: Callable[[Any], Array]) -> None:
        """Add the products of `parts`, each some rows of the tensor or an expert, with gradient(part)."""
        tensor, products = self.model.tensors[name], self.products[name]

        def work(index: int) -> None:
            rows = parts[index]
            own, original = gradient(rows), decoded(tensor, rows)
            for level, form in self.forms[name].items():
                change = decoded(form, rows)
                change -= original
                products[rows, ..., level] += np.einsum("ij,ij->i", own, change)

        self.sharing.each(work, range(len(parts)))


def _read(op: Op) -> tuple[str, ...]:
    """The matrix that an op multiplies by or looks up."""
    return op.weights[:1] if op.multiplies or op.looks_up else ()


def _kept(
    folder: Path, model: Model, pieces: NDArray[np.int32], seed: int, forms: dict[str, dict[int, QuantizedTensor]]
) -> Pass:
    """The file of these sums: tensors, formats and their encoding are known by the first row of each."""
    found = hashlib.sha256(f"{bitwright.__version__} {model.sha256()} {digest(pieces)} {pieces.shape} {seed}".encode())
    for name, own in forms.items():
        for level, form in own.items():
            found.update(f"{name} {level} {form.format.name} {form.shape}".encode())
            found.update(form.data[:1].tobytes())
    key = found.hexdigest()
    path = folder / f"{key[:32]}.npz"
    return Pass(path, key, path)
