"""Weights in the layout that products read, packed once for all users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from bitwright.formats import QuantizedTensor
from bitwright.kernels import _native, mapping


class WeightBank:
    """Matrices packed for one tier (default: this machine's best), shared by all programs that ask for the same bytes.

    A matrix is identified by its bytes in memory, its format and its shape, and lives as long as a program uses it: two
    programs over one file share every matrix, and a program that differs in one tensor packs only that one. If a
    tensor's bytes are changed in place after packing, the old weights stay in use.
    """

    def __init__(self, tier: str | None = None, threads: int | None = None) -> None:
        """`threads` pack (default: the cores this process may use). UsageError if the machine cannot run the tier."""
        self.native = _native.core().WeightBank(tier or "", _native.thread_count(threads))

    @property
    def tier(self) -> str:
        """The tier whose layout the matrices have."""
        return str(self.native.tier)

    @property
    def bytes(self) -> int:
        """Bytes of packed weights in use; those that products read directly from the file are not counted."""
        return int(self.native.bytes)

    def __len__(self) -> int:
        """Matrices in use."""
        return len(self.native)

    def matrices(self, tensors: Sequence[QuantizedTensor], multiplied: Sequence[bool]) -> list[list[Any]]:
        """The matrix of each tensor (rows, columns), or all of one (experts, rows, columns). Those not `multiplied` are
        only looked up and stay unpacked.

        Raises UsageError if a tensor's bytes do not fit its shape, UnsupportedError for a format the core lacks.
        """
        wanted = []
        for tensor, packed in zip(tensors, multiplied, strict=True):
            format, (rows, columns) = _native.format_id(tensor.format), tensor.shape[-2:]
            stored = np.ascontiguousarray(tensor.data).reshape(math.prod(tensor.shape[:-2]), -1)
            wanted += [(format, rows, columns, data, packed) for data in stored]
        size = sum(tensor.data.nbytes for tensor in tensors)
        with _native.allocating(f"{len(tensors)} weights, {size / 1e6:.1f} MB in the file, packed"):
            found = iter(self.native.matrices(wanted))
        mapping.check()
        return [[*islice(found, math.prod(tensor.shape[:-2]))] for tensor in tensors]
