"""A program with a memory and an executor, for tests that only run a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.formats import QuantizedTensor
from bitwright.kernels import Executor, Memory, Program, Step, WeightBank


class Running:
    """Program, memory and executor of one step over weights."""

    def __init__(
        self,
        step: Step,
        weights: Mapping[str, QuantizedTensor],
        context: int,
        sequences: int = 1,
        batch: int = 512,
        threads: int | None = None,
        tier: str | None = None,
        kv: str = "f16",
        activations: str = "int8",
        bank: WeightBank | None = None,
        room: int | None = None,
    ) -> None:
        self.bank = bank or WeightBank(tier, threads)
        self.program = Program(step, weights, self.bank, activations)
        self.memory = Memory(self.program.layers, context, sequences, batch, kv, self.program.states, room)
        self.executor = Executor(self.program, batch, threads)

    def run(
        self, tokens: ArrayLike, positions: ArrayLike, sequences: ArrayLike, outputs: ArrayLike
    ) -> NDArray[np.float32]:
        return self.executor.run(self.memory, tokens, positions, sequences, outputs)

    @property
    def lengths(self) -> list[int]:
        return self.memory.lengths

    @property
    def earliest(self) -> list[int]:
        return self.memory.earliest
