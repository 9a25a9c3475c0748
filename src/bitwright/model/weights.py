"""The tensors of a model file, by name, each with its shape checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.formats.tensor import HasValues


class Weights:
    """Checks tensors as an architecture requests them. `prefix` precedes every name (`blk.0.`)."""

    def __init__(self, tensors: Mapping[str, HasValues], path: Path, prefix: str = "") -> None:
        self.tensors, self.path, self.prefix = tensors, path, prefix
        self.used: set[str] = set()

    def layer(self, index: int) -> Weights:
        """The tensors of one layer, by their names without `blk.N.`."""
        inner = Weights(self.tensors, self.path, f"blk.{index}.")
        inner.used = self.used
        return inner

    def has(self, name: str) -> bool:
        """Whether the model has that tensor in this scope."""
        return self.prefix + name in self.tensors

    def __call__(self, name: str, *shape: int) -> str:
        """The full name of a tensor of exactly this shape; FileFormatError if it is missing or has another shape."""
        full = self.prefix + name
        if full not in self.tensors:
            raise FileFormatError(self.path, None, f"a tensor {full} of shape {shape}", "no such tensor")
        got = tuple(self.tensors[full].shape)
        if got != shape:
            raise FileFormatError(self.path, None, f"tensor {full} to have shape {shape}", f"{got}")
        self.used.add(full)
        return full

    def optional(self, name: str, *shape: int) -> str | None:
        """The full name if the file has this tensor, else None; FileFormatError if it has another shape."""
        return self(name, *shape) if self.has(name) else None

    def linear(self, name: str, *shape: int) -> tuple[str, str | None]:
        """The names of a matrix (rows, columns) and of its bias (rows,), or None if it has no bias; those of experts
        have one more dimension in front."""
        return self(f"{name}.weight", *shape), self.optional(f"{name}.bias", *shape[:-1])

    def head(self, vocabulary: int, width: int) -> tuple[str, str | None]:
        """The output matrix (vocabulary, width) and its bias. If the file has none, the embedding serves (tied)."""
        name = "output" if self.has("output.weight") else "token_embd"
        return self.linear(name, vocabulary, width)

    def leave_out(self) -> None:
        """Count the tensors in this scope as used: nothing needs them."""
        self.used |= {name for name in self.tensors if name.startswith(self.prefix)}

    def rope_divisors(self, dim: int) -> np.ndarray | None:
        """`rope_freqs.weight` (dim / 2,), by which the file divides the rotations' frequencies; None without one."""
        return self._divisors("rope_freqs.weight", dim)

    def long_rope_divisors(self, dim: int, is_long: bool) -> np.ndarray | None:
        """The same for LongRoPE, whose files have two such tensors: for contexts longer than the original one, and for
        others."""
        long, short = (self._divisors(f"rope_factors_{which}.weight", dim) for which in ("long", "short"))
        return long if is_long else short

    def _divisors(self, name: str, dim: int) -> np.ndarray | None:
        full = self.optional(name, dim // 2)
        if full is None:
            return None
        values = self.tensors[full].dequantize()
        if not (np.isfinite(values) & (values > 0)).all():
            raise FileFormatError(self.path, None, f"finite values above 0 in {full}", f"{values.min()}")
        return values

    def check_all_used(self, architecture: str) -> None:
        """BitwrightError if the file holds tensors that the architecture does not use: it would run as a different
        model."""
        unused = sorted(self.tensors.keys() - self.used)
        if unused:
            more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
            raise BitwrightError(
                f"{self.path}: bitwright's {architecture} does not use the tensors {', '.join(unused[:3])}{more}"
            )
