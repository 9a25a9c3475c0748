"""Weights in the layout that products read, packed once for all users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitwright.formats import QuantizedTensor
from bitwright.kernels import _native, mapping


class Store(Protocol):
    """A place for packed matrices that may hold them already."""

    def held(self, size: int) -> NDArray[np.uint8] | None:
        """The `size` bytes of the matrices; None if they are not there."""

    def room(self, size: int) -> AbstractContextManager[NDArray[np.uint8]]:
        """Memory of `size` bytes for them; they are there once the block ends."""


class WeightBank:
    """Matrices packed for one tier (default: this machine's best), shared by all programs that ask for the same bytes.

    A matrix is identified by its bytes in memory, its format and its shape, and lives as long as a program uses it: two
    programs over one file share every matrix, and a program that differs in one tensor packs only that one. If a
    tensor's bytes are changed in place after packing, the old weights stay in use.
    """

    def __init__(self, tier: str | None = None, threads: int | None = None, store: Store | None = None) -> None:
        """`threads` pack (default: the cores this process may use). `store` holds the matrices of the first request
        that packs any; those of later ones are in memory. UsageError if the machine cannot run the tier."""
        self._store = store
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
            found = iter(self._packed(wanted))
        mapping.check()
        return [[*islice(found, math.prod(tensor.shape[:-2]))] for tensor in tensors]

    def _packed(self, wanted: list[tuple[Any, ...]]) -> list[Any]:
        store = self._store
        if store is None or not (size := self.native.packed_bytes(wanted)):
            return list(self.native.matrices(wanted))
        self._store = None
        if (held := store.held(size)) is not None:
            return list(self.native.matrices(wanted, held=held))
        with store.room(size) as room:
            return list(self.native.matrices(wanted, room))
