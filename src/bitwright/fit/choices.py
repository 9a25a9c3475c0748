"""What each tensor of a model may become, and candidates: one format for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.formats import Format

Levels = tuple[int, ...]  # a candidate: for each tensor of Choices, the index of its format


@dataclass(frozen=True)
class Choices:
    """Tensors in the order in which a step reads them, and what each format would take and cost there.

    `bytes` (tensors, formats): of the tensor in a file, with its padding; 0 where the format cannot hold it.
    `cost` (tensors, formats): the KL divergence in nats that it is predicted to add; infinite where it cannot be used.
    """

    tensors: tuple[str, ...]
    formats: tuple[Format, ...]
    bytes: NDArray[np.int64]
    cost: NDArray[np.float64]

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Which formats each tensor may take (tensors, formats)."""
        return (self.bytes > 0) & np.isfinite(self.cost)

    @property
    def pairs(self) -> list[tuple[str, Format]]:
        """Every tensor with every format that it may take."""
        return [(self.tensors[row], self.formats[column]) for row, column in np.argwhere(self.allowed)]

    def bytes_of(self, levels: Levels) -> int:
        """The bytes of a candidate's tensors."""
        return int(self.bytes[np.arange(len(levels)), levels].sum())

    def cost_of(self, levels: Levels) -> float:
        """The divergence in nats that the additive model predicts for a candidate."""
        return float(self.cost[np.arange(len(levels)), levels].sum())

    def chosen(self, levels: Levels) -> dict[str, Format]:
        """The format of each tensor, for `Recipe.exact`."""
        return {name: self.formats[level] for name, level in zip(self.tensors, levels, strict=True)}

    def levels(self, formats: Iterable[Format]) -> Levels:
        """The candidate that gives each tensor its format. ValueError for a format that is none of the choices."""
        return tuple(self.formats.index(format) for format in formats)


class Scorer(Protocol):
    """Measures whole candidates on the chunks of the search text, numbered from 0 to `chunks`.

    The same arguments give the same numbers, whatever was scored before.
    """

    chunks: int

    def score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> NDArray[np.float64]:
        """The objective (candidates, chunks), less is better: by default the mean KL divergence from the reference over
        a chunk's tokens, in nats. A candidate is run from the first layer in which it differs from `parent`, whose
        layer inputs are kept from call to call."""
        ...
