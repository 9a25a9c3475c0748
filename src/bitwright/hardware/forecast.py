"""The speed of a model in its formats on a device: from the fitted speed model, or from rates measured here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bitwright.hardware import speed
from bitwright.hardware.devices import Device
from bitwright.hardware.kv import kv_read
from bitwright.hardware.machine import Machine
from bitwright.hardware.speed import Load, PredictedSpeed, UnknownSpeed
from bitwright.hardware.weights import (
    attention_operations,
    bytes_per_token,
    multiplied_as,
    operations_per_token,
    weight_bytes,
)
from bitwright.model.architectures.names import EXPERTS, layer_number
from bitwright.model.architectures.outline import Outline
from bitwright.recipes.recipe import Assignment

PROMPT = 512  # tokens of the prompt whose speed is predicted, as in llama-bench's pp512
# From benchmarks/predict_here.py: bitwright's speed lies within this factor of what its kernels' rates predict; a layer
# takes this many seconds besides its products, for norms, rotations and threads that wait for each other.
ENGINE_CLOSE, LAYER = 1.15, 55e-6


@dataclass(frozen=True)
class Forecast:
    """decode: tokens per second of all sequences together. multiplied_as: the format of a prompt's products."""

    decode: PredictedSpeed
    prefill: PredictedSpeed
    multiplied_as: str


def load_of(outline: Outline, assignments: Sequence[Assignment], sequences: int = 1) -> Load:
    """What decoding one token of each of `sequences` sequences asks of a device that holds the assigned tensors."""
    shares = multiplied_as(outline, assignments)
    kinds: dict[speed.Kind, float] = {}
    for format, share in shares.items():
        kind = speed.kind_of(format)
        kinds[kind] = kinds.get(kind, 0.0) + share
    return Load(
        read=bytes_per_token(outline, assignments, sequences),
        stored=weight_bytes(assignments),
        active=operations_per_token(outline, {a.tensor for a in assignments}) / 2,
        head=head(outline),
        layers=len(outline.layers),
        width=query_width(outline),
        kind=max(kinds, key=lambda kind: kinds[kind]),
        experts=outline.experts > 0,
    )


def head(outline: Outline) -> float:
    """Parameters of the output, which may be the embedding."""
    return outline.vocabulary * outline.width


def query_width(outline: Outline) -> float:
    """The width of all heads' queries, as a mean over layers; a layer that does not attend counts as 0."""
    per_token = attention_operations(outline, 0)  # keys and values of one token: 2 * (key + value) a head
    return per_token / 4 / max(1, len(outline.layers))


def forecast(
    device: Device,
    outline: Outline,
    assignments: Sequence[Assignment],
    depth: int = 0,
    kv: str = "f16",
    sequences: int = 1,
    machine: Machine | None = None,
) -> Forecast:
    """The speed of llama.cpp on `device`, or with `machine` of bitwright on this machine.

    depth: tokens already in each sequence while decoding. All sequences share one read of the weights; each further one
    adds its cache and the multiplications of one more row, at a prompt's rate. Raises UnknownSpeed if a figure of the
    device is not known.
    """
    load, cached = load_of(outline, assignments, sequences), kv_read(outline, depth, kv)
    if machine is not None:
        return _measured(machine, outline, assignments, load.kind, cached, sequences)
    backend = speed.backend_of(device)
    step = speed.decode(device, load, cached * sequences, backend=backend)
    prefill = speed.prefill(device, load, PROMPT, backend=backend)
    factor = step.high / step.tokens_per_second
    seconds = 1 / step.tokens_per_second + (sequences - 1) / prefill.tokens_per_second
    return Forecast(_around(sequences / seconds, factor), prefill, speed.multiplied_as(device, load.kind, backend))


def decode_split(
    device: Device,
    host: Device,
    outline: Outline,
    assignments: Sequence[Assignment],
    layers: int,
    depth: int = 0,
    kv: str = "f16",
) -> PredictedSpeed:
    """The speed of llama.cpp decoding one sequence with the experts of the first `layers` layers on `host`, a CPU, and
    all else on `device`: they take turns. Compared with published runs by benchmarks/expert_offload.py.

    Raises UnknownSpeed if a figure of either is not known.
    """
    moved, rest = list[Assignment](), list[Assignment]()
    for a in assignments:
        (moved if EXPERTS in a.tensor and layer_number(a.tensor) < layers else rest).append(a)
    parts = (
        speed.decode(device, load_of(outline, rest), kv_read(outline, depth, kv)),
        speed.decode(host, replace(load_of(outline, moved), layers=layers), backend="cpu"),
    )
    seconds = sum(1 / part.tokens_per_second for part in parts)
    return _around(1 / seconds, max(part.high / part.tokens_per_second for part in parts))


def _measured(
    machine: Machine,
    outline: Outline,
    assignments: Sequence[Assignment],
    kind: speed.Kind,
    cached: float,
    sequences: int,
) -> Forecast:
    """From the measured rates of the engine's kernels for each format, of memory, and of float arithmetic."""
    rates, m = machine.measured.kernels, machine.measured
    read = bytes_by_format(outline, assignments, sequences)
    if missing := [name for name in read if name not in rates]:
        names = ", ".join(missing)
        raise UnknownSpeed(f"this machine: bitwright has no kernel for {names}, so its speed cannot be predicted")
    layers = LAYER * len(outline.layers)
    decode = sum(size / rates[name].decode for name, size in read.items()) + layers + sequences * cached / m.read
    inner = operations_by_format(outline, assignments)
    token = sum(operations / rates[name].prefill for name, operations in inner.items())
    looked_back = attention_operations(outline, PROMPT // 2) / m.float32
    prompt = PROMPT * (token + looked_back) + layers * math.ceil(PROMPT / speed.BATCH)
    return Forecast(
        _around(sequences / (decode + (sequences - 1) * token), ENGINE_CLOSE),
        _around(PROMPT / prompt, ENGINE_CLOSE),
        "fp32" if kind == "float" else "int8",
    )


def bytes_by_format(outline: Outline, assignments: Sequence[Assignment], sequences: int = 1) -> Mapping[str, int]:
    """Bytes of weights that decoding reads, by format."""
    names = sorted({a.format.name for a in assignments})
    parts = {n: bytes_per_token(outline, [a for a in assignments if a.format.name == n], sequences) for n in names}
    return {name: size for name, size in parts.items() if size}


def operations_by_format(outline: Outline, assignments: Sequence[Assignment]) -> dict[str, float]:
    """Operations that a token of a prompt takes, by the weights' format. The output is left out, since only the last
    token needs it."""
    output = "token_embd.weight" if outline.tied else "output.weight"
    found: dict[str, float] = {}
    for tensor, assignment in zip(outline.tensors, assignments, strict=True):
        if len(tensor.shape) > 1 and tensor.name != output:
            operations = 2 * outline.share_read(tensor.name) * math.prod(tensor.shape)
            found[assignment.format.name] = found.get(assignment.format.name, 0.0) + operations
    return {name: operations for name, operations in found.items() if operations}


def _around(speed: float, factor: float) -> PredictedSpeed:
    return PredictedSpeed(speed, speed / factor, speed * factor)
