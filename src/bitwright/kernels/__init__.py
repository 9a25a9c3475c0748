"""The facade over the compiled module. Everything is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.kernels._coverage import Coverage, bytes_read, coverage, packed_bytes
    from bitwright.kernels._feedback import factored, feedback, feedback_formats
    from bitwright.kernels._matmul import dequantize, matmul, packed, tier, tiers
    from bitwright.kernels._native import best_threads, digest, usable_cores
    from bitwright.kernels.bank import WeightBank
    from bitwright.kernels.encoders import quantize
    from bitwright.kernels.executor import Executor
    from bitwright.kernels.memory import KV, LayerShape, Memory
    from bitwright.kernels.meter import Decoding, Meter
    from bitwright.kernels.ops import Buffer, Op, Step
    from bitwright.kernels.oracle import Oracle
    from bitwright.kernels.program import ACTIVATIONS, Program

_HOME = {
    "Buffer": "ops", "Op": "ops", "Step": "ops", "Program": "program", "Oracle": "oracle",
    "ACTIVATIONS": "program", "WeightBank": "bank", "Executor": "executor",
    "KV": "memory", "LayerShape": "memory", "Memory": "memory",
    "tier": "_matmul", "tiers": "_matmul", "matmul": "_matmul", "dequantize": "_matmul",
    "packed": "_matmul",
    "best_threads": "_native", "digest": "_native", "usable_cores": "_native",
    "factored": "_feedback", "feedback": "_feedback", "feedback_formats": "_feedback",
    "quantize": "encoders", "Coverage": "_coverage", "coverage": "_coverage", "bytes_read": "_coverage",
    "packed_bytes": "_coverage",
    "Meter": "meter", "Decoding": "meter",
}  # fmt: skip

__all__ = [
    "ACTIVATIONS", "KV", "Buffer", "Coverage", "Decoding", "Executor", "LayerShape", "Memory", "Meter", "Op", "Oracle",
    "Program", "Step", "WeightBank", "best_threads", "bytes_read", "coverage", "dequantize", "digest", "factored",
    "feedback", "feedback_formats", "matmul", "packed", "packed_bytes", "quantize", "tier", "tiers", "usable_cores",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # a submodule of the same name (matmul, coverage) must not shadow it
    return value
