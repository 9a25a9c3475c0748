"""The interface between a computation and the hardware that runs it.

Weights cross it as tensors, tokens and results as arrays; no pointers into a backend's memory. The CPU's tiers
are one backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bitwright.formats import QuantizedTensor
from bitwright.kernels import _matmul
from bitwright.kernels.bank import Store, WeightBank
from bitwright.kernels.executor import Executor
from bitwright.kernels.memory import Memory
from bitwright.kernels.ops import Step
from bitwright.kernels.program import Program


class Backend(Protocol):
    """Compiles steps, and runs them: `executor(...).run(memory, tokens, ...)`."""

    @property
    def name(self) -> str:
        """The backend's name, as `bitwright bench` shows it."""

    def bank(self, store: Store | None = None) -> WeightBank:
        """An empty bank for weights in this backend's layout, in `store` or in memory."""

    def compile(
        self, step: Step, weights: Mapping[str, QuantizedTensor], bank: WeightBank, activations: str = "int8"
    ) -> Program:
        """A step over weights, which are added to the bank. BitwrightError if the two disagree."""

    def memory(
        self, program: Program, context: int, sequences: int, batch: int, kv: str, room: int | None = None
    ) -> Memory:
        """Memory for `sequences` sequences of up to `context` positions of a program, read `batch` at a time, which
        together take at most `room` bytes."""

    def executor(self, program: Program, batch: int) -> Executor:
        """An executor that runs a program on up to `batch` tokens at a time."""


@dataclass(frozen=True)
class Cpu:
    """This machine's processor: a tier (default: its best) and a number of threads (default: all usable cores)."""

    tier: str | None = None
    threads: int | None = None

    @property
    def name(self) -> str:
        """The tier in use."""
        return self.tier or _matmul.tier()

    def bank(self, store: Store | None = None) -> WeightBank:
        """An empty bank for packed weights."""
        return WeightBank(self.tier, self.threads, store)

    def compile(
        self, step: Step, weights: Mapping[str, QuantizedTensor], bank: WeightBank, activations: str = "int8"
    ) -> Program:
        """The immutable program of a step, its weights packed into `bank`."""
        return Program(step, weights, bank, activations)

    def memory(
        self, program: Program, context: int, sequences: int, batch: int, kv: str, room: int | None = None
    ) -> Memory:
        """Empty keys, values and states for `sequences` sequences of `context` tokens, in format `kv`."""
        return Memory(program.layers, context, sequences, batch, kv, program.states, room)

    def executor(self, program: Program, batch: int) -> Executor:
        """An executor for the program, with buffers for `batch` tokens."""
        return Executor(program, batch, self.threads)
