"""What a step of a model computes and reads: operations and bytes, to compare its time with the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from bitwright import formats, kernels
from bitwright.model.architectures.names import EXPERTS

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.formats import QuantizedTensor


STATE_PRODUCTS = {"delta_rule": 3, "scan": 2}  # of a token with the matrices of each state


class Limits(NamedTuple):
    """The most the machine does with all threads of a model on its tier."""

    read_gb_s: float
    int8_gop_s: float
    bf16_gflop_s: float
    float32_gflop_s: float

    @classmethod
    def measure(cls, meter: kernels.Meter) -> Limits:
        """Measure what this machine can do, with the meter's threads and tier."""
        return cls(meter.read_gb_s(), meter.int8_gop_s(), meter.bf16_gflop_s(), meter.float32_gflop_s())


@dataclass(frozen=True)
class Work:
    """Operations (a multiplication and an addition are two) of integer dot products, of float32 arithmetic and of
    bfloat16 dot products; bytes of weights and cache read from memory, each counted once."""

    int8: float = 0
    floats: float = 0
    bytes: float = 0
    bf16: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.int8 + other.int8, self.floats + other.floats, self.bytes + other.bytes, self.bf16 + other.bf16
        )

    @property
    def operations(self) -> float:
        """Operations of all kinds together."""
        return self.int8 + self.floats + self.bf16

    def reading_share(self, seconds: float, limits: Limits) -> float:
        """The time that reading alone would take at the limit, over the measured time."""
        return self.bytes / 1e9 / limits.read_gb_s / seconds

    def arithmetic_share(self, seconds: float, limits: Limits) -> float:
        """The time that the arithmetic alone would take at the limits of its kinds, over the measured time."""
        least = self.int8 / limits.int8_gop_s + self.floats / limits.float32_gflop_s + self.bf16 / limits.bf16_gflop_s
        return least / 1e9 / seconds


@cache
def paths() -> dict[tuple[str, str], dict[str, str]]:
    """How a format is multiplied: (format, tier) -> {"decode": path, "prefill": path}."""
    return {(r.format, r.tier): {"decode": r.decode, "prefill": r.prefill} for r in kernels.coverage()}


def linear(weight: QuantizedTensor, tokens: int, tier: str) -> Work:
    """The product of a weight (rows, columns), or of an expert's, with `tokens` tokens."""
    *_, rows, columns = weight.shape
    path = paths()[weight.format.name, tier]["decode" if tokens == 1 else "prefill"]
    operations = 2 * rows * columns * tokens
    read = kernels.bytes_read(weight.format, rows, columns, tier)
    kind = {"integer dot": "int8", "bf16 dot": "bf16"}.get(path, "floats")
    return Work(**{kind: operations, "bytes": read})


def experts(weight: QuantizedTensor, tokens: int, used: int, tier: str) -> Work:
    """The products of `tokens` tokens with `used` experts each of a weight (experts, rows, columns). Read are as many
    experts as are expected if each token chooses at random."""
    one, count = linear(weight, tokens, tier), weight.shape[0]
    read = count * (1 - (1 - used / count) ** tokens)
    return Work(used * one.int8, used * one.floats, read * one.bytes, used * one.bf16)


def product(engine: Engine, weight: str, tokens: int) -> Work:
    """The products of `tokens` tokens with a weight of the model."""
    tensor = engine.model.tensors[weight]
    if len(tensor.shape) > 2:
        used = engine.config.experts_used if EXPERTS in weight else tensor.shape[0]  # every head has a matrix
        return experts(tensor, tokens, used, engine.tier)
    return linear(tensor, tokens, engine.tier)


def attention(a: Mapping[str, Any], tokens: int, depth: int, kv: str) -> Work:
    """Attention of `tokens` tokens after `depth` others in a cache of format `kv`; `a` are the op's attributes."""
    window = a["window"] or depth + tokens
    seen = sum(min(position + 1, window) for position in range(depth, depth + tokens))
    values = a["kv_heads"] * a["head_dim"] * min(depth + tokens, window + tokens - 1)
    read = (1 if a["latent"] else 2) * values * formats.get(kv).bits_per_weight / 8
    return Work(0, 2 * a["heads"] * (a["head_dim"] + (a["latent"] or a["head_dim"])) * seen, read)


def state(kind: str, a: Mapping[str, Any], tokens: int) -> Work:
    """A delta rule or a scan over `tokens` tokens of a sequence; `a` are the op's attributes. It reads the state
    once."""
    values = a["heads"] * a["key_dim"] * a["value_dim"]
    return Work(0, 2 * STATE_PRODUCTS[kind] * values * tokens, 4 * values)


def step(engine: Engine, tokens: int, depth: int, outputs: int = 1) -> Work:
    """All products, attentions, delta rules and scans of one step over `tokens` tokens after `depth` others, with
    `outputs` logits."""
    total = Work()
    for op in engine.model.step.ops:
        if op.multiplies:
            total += product(engine, op.weights[0], outputs if op.output.selected else tokens)
    return total + remembering(engine, tokens, depth)


def remembering(engine: Engine, tokens: int, depth: int) -> Work:
    """All attentions, delta rules and scans of one step."""
    total = Work()
    for op in engine.model.step.ops:
        if op.kind == "attention":
            total += attention(op.attributes, tokens, depth, engine.options.kv)
        elif op.kind in STATE_PRODUCTS:
            total += state(op.kind, op.attributes, tokens)
    return total


def bytes_of_token(engine: Engine, depth: int) -> float:
    """The bytes read to decode a token after `depth` others: the weights as the file stores them, the cache and states.
    The engine's own layout of a weight may take more or fewer bytes; those are in `linear`."""
    return engine.model.bytes_per_token + remembering(engine, 1, depth).bytes
