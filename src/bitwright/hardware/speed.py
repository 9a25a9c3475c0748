"""How fast: the speed that a device should reach, from its figures and a model fitted to published measurements.

A time is a sum of physical terms. Each is a quantity over a rate of the device, times a fitted number
(`data/speed.json`):

    decode, a token   = layers + bytes read / bandwidth + parameters / vector rate (unpacking)
                        + cached bytes / bandwidth
    prefill, a prompt = layers + operations / peak of the format that is really multiplied + all weights / bandwidth
                        + operations / vector rate (scales, once per block) + attention

The reciprocal of the number that belongs to `bytes / bandwidth` is the share of the bandwidth that is reached.
benchmarks/fit_speed.py fits the numbers and tests them on devices that it left out of the fit:
benchmarks/results/speed-model.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from bitwright.errors import UsageError
from bitwright.hardware.devices import Device

Backend = Literal["cuda", "metal", "rocm", "vulkan", "cpu", "ik"]
Kind = Literal["float", "block", "k", "grid", "fp4"]
BACKENDS: tuple[Backend, ...] = ("cuda", "metal", "rocm", "vulkan", "cpu", "ik")
BATCH = 512  # tokens of a prompt that llama.cpp reads at once (--ubatch-size)
VECTOR_ONLY = {"xe-hpg"}  # llama.cpp's Vulkan backend does not use their matrix units
WIDE = 1.9e12  # bytes/s: from here on memory is stacked, and decode kernels fill only about half of its channels


class UnknownSpeed(UsageError):
    """The speed model lacks a figure for the device."""


@dataclass(frozen=True)
class Load:
    """What a model in its format asks of a device.

    read: bytes of weights read to decode one token (of experts, the chosen ones; no embedding). stored: bytes of all
    weights, which a prompt reads. active: parameters multiplied per token. head: the part of `active` that makes the
    logits, which a prompt needs for its last token only. width: of the queries of all heads, the mean over layers.
    experts: whether the model is a mixture of experts. kind: how most weights unpack (`kind_of`).
    """

    read: float
    stored: float
    active: float
    head: float
    layers: int
    width: float
    kind: Kind
    experts: bool = False


@dataclass(frozen=True)
class PredictedSpeed:
    """Tokens per second. In 90% of cases the speed lies between `low` and `high`."""

    tokens_per_second: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """The figures rounded to four digits, by name."""
        return {key: float(f"{value:.4g}") for key, value in vars(self).items()}


@dataclass(frozen=True)
class Setting:
    """How a model is run. flash_attention: scores are not stored. cores: the share of a CPU's cores that decode. early:
    by a build of llama.cpp from before June 2024, which converted weights to FP16 for a prompt. native_fp4: by a build
    from December 2025 or later."""

    flash_attention: bool = True
    cores: float = 1.0
    early: bool = False
    native_fp4: bool = True


def kind_of(format: str) -> Kind:
    """How the weights of a format or recipe (any case) unpack: as they are, by blocks of 32 with one scale, by
    superblocks, through a grid of points, or as 4-bit floats."""
    name = format.upper()
    if name in {"F16", "BF16", "F32", "FLOAT16", "BFLOAT16", "FLOAT32"}:
        return "float"
    if name.startswith(("MXFP4", "NVFP4")):
        return "fp4"
    if name.startswith(("IQ1", "IQ2", "IQ3")):
        return "grid"
    return "k" if "_K" in name or name == "IQ4_XS" else "block"


def backend_of(device: Device) -> Backend:
    """The backend of llama.cpp that people use on the device."""
    if device.kind == "cpu" or device.vendor == "raspberrypi" or device.arch == "oryon":
        return "cpu"
    if device.vendor == "amd":
        return "rocm" if (device.arch or "").startswith("cdna") else "vulkan"
    return {"nvidia": "cuda", "apple": "metal"}.get(device.vendor, "vulkan")  # type: ignore[return-value]


def multiplied_as(device: Device, kind: Kind, backend: Backend, setting: Setting = Setting()) -> str:
    """The format in which llama.cpp multiplies a prompt.

    A short form of `data/engines.json`, which names sources (tests/hardware/test_speed.py compares the two).
    """
    if backend in {"cpu", "ik"}:
        return "fp32" if kind == "float" else "int8"
    if backend == "vulkan" and device.arch in VECTOR_ONLY and kind not in {"float", "grid"}:
        return "int8"
    if backend in {"metal", "vulkan"}:
        return "fp16"
    if kind == "fp4" and device.arch == "sm120" and setting.native_fp4:
        return "mxfp4"
    tensor = device.vendor == "nvidia" and "fp16" in device.compute and device.compute["fp16"].native
    if kind == "float" or (tensor and (setting.early or device.arch == "volta")):
        return "fp16"
    return "int8"


def peak(device: Device, format: str, backend: Backend) -> float | None:
    """The limit of `backend` when it multiplies in `format`, in operations per second. CUDA and Vulkan sum in FP16. For
    CPUs it is the limit of the vector lanes, because engines use matrix tiles for few formats."""
    if backend in {"cpu", "ik"}:
        return _lanes(device, backend) if format == "int8" else device.vector.get("bf16") or device.vector.get("fp32")
    if backend == "vulkan" and device.arch in VECTOR_ONLY:
        return device.vector.get(format)
    rate = device.compute.get(format)
    if rate is None:
        return None
    return rate.narrow_peak or rate.peak if backend in {"cuda", "vulkan"} else rate.peak


def decode_terms(
    device: Device, load: Load, backend: Backend, cached: float = 0.0, setting: Setting = Setting()
) -> dict[str, float]:
    """Seconds per token by term, before the fitted numbers. cached: bytes of the key-value cache that are read."""
    bandwidth, lanes = _needed(device.bandwidth, device, "bandwidth"), _lanes(device, backend) * setting.cores
    terms = {
        f"layers {backend}": load.layers * 1e-6,
        f"bytes {backend}": load.read / bandwidth,
        f"unpack {backend} {_unpacking(load.kind, backend)}": load.active / lanes,
        "cache": cached / bandwidth,
    }
    if bandwidth > WIDE and backend == "cuda":
        terms["bytes wide"] = load.read / bandwidth
    if load.experts:
        terms[f"experts {'cpu' if backend == 'ik' else backend}"] = load.layers * 1e-6
    if setting.early and backend in {"cuda", "metal"}:
        terms[f"early {backend}"] = load.active / lanes
    return terms


def prefill_terms(
    device: Device, load: Load, backend: Backend, tokens: int = 512, setting: Setting = Setting()
) -> dict[str, float]:
    """Seconds per prompt of `tokens` by term, before the fitted numbers."""
    format = multiplied_as(device, load.kind, backend, setting)
    limit = _needed(peak(device, format, backend), device, f"peak of {format}")
    bandwidth = _needed(device.bandwidth, device, "bandwidth")
    active, batches = load.active - load.head, math.ceil(tokens / BATCH)
    multiply = 2 * active * tokens / limit
    key = f"{backend} {format}"
    if backend in {"cpu", "ik"}:
        key = f"{backend} {load.kind if load.kind in {'float', 'k', 'grid'} else 'block'}"
    elif backend == "metal" and device.compute[format].unit == "matrix":
        key += " matrix"
    scores = tokens**2 * load.width * load.layers
    terms = {f"multiply {key}": multiply, "weights": load.stored / bandwidth * batches}
    if backend not in {"cpu", "ik"}:
        terms[f"layers {backend}"] = load.layers * 1e-6 * batches
    if format == "int8" and backend in {"cuda", "rocm"}:
        kind = "k" if load.kind in {"k", "grid"} else "block"
        terms[f"scales {backend} {kind}"] = 2 * active * tokens / _lanes(device, backend)
    if backend == "cuda" and not setting.flash_attention:  # written and read twice: a float per pair and head of 128
        terms["scores cuda"] = scores / 128 * 4 * 4 / bandwidth
    else:
        terms[f"attention {backend}"] = 2 * scores / limit
    if setting.early and load.kind != "float" and backend in {"cuda", "metal"}:  # weights become float16 in memory
        terms[f"early {backend}"] = 4 * active * batches / bandwidth
    if load.experts:
        terms[f"experts {'cpu' if backend == 'ik' else backend}"] = multiply
    return terms


def decode(
    device: Device, load: Load, cached: float = 0.0, *, backend: Backend | None = None, setting: Setting = Setting()
) -> PredictedSpeed:
    """The speed of decoding one token after another. cached: bytes of the key-value cache read per token. Raises
    UnknownSpeed if the device's bandwidth or rates are not known."""
    backend = backend or backend_of(device)
    return _predicted("decode", decode_terms(device, load, backend, cached, setting), device, backend, 1)


def prefill(
    device: Device, load: Load, tokens: int = 512, *, backend: Backend | None = None, setting: Setting = Setting()
) -> PredictedSpeed:
    """The speed of reading a prompt of `tokens` in batches of BATCH. Raises UnknownSpeed as `decode` does."""
    backend = backend or backend_of(device)
    return _predicted("prefill", prefill_terms(device, load, backend, tokens, setting), device, backend, tokens)


def seconds(terms: Mapping[str, float], numbers: Mapping[str, float]) -> float:
    """The sum of terms, each times its number."""
    return sum(value * numbers[name] for name, value in terms.items())


def family(device: Device, backend: Backend) -> str:
    """Devices that share a correction: one architecture under one backend."""
    return f"{backend} {device.arch}"


@cache
def fitted() -> dict[str, Any]:
    """`data/speed.json`, for decode and for prefill: the number of each term, the correction of each family (a natural
    logarithm), and for each backend the factor within which 90% of the devices left out of the fit lay."""
    text = (resources.files("bitwright.hardware") / "data/speed.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _predicted(what: str, terms: Mapping[str, float], device: Device, backend: Backend, tokens: int) -> PredictedSpeed:
    model = fitted()[what]
    time = seconds(terms, model["numbers"]) * math.exp(model["families"].get(family(device, backend), 0.0))
    speed, factor = tokens / time, model["factors"][backend]
    return PredictedSpeed(speed, speed / factor, speed * factor)


def _lanes(device: Device, backend: Backend) -> float:
    """Operations per second of the vector lanes: int8 dot products on a CPU, float32 elsewhere."""
    rate = None
    if backend in {"cpu", "ik"}:
        int8 = device.compute.get("int8")
        rate = device.vector.get("int8") or (int8.peak if int8 and int8.unit == "vector" else None)
    fp32 = device.compute.get("fp32")
    return _needed(rate or device.vector.get("fp32") or (fp32.peak if fp32 else None), device, "float32 rate")


def _unpacking(kind: Kind, backend: Backend) -> str:
    if backend in {"cpu", "ik"}:
        return "block" if kind == "fp4" else kind
    return "k" if kind == "grid" else "block" if kind in {"float", "fp4"} else kind


def _needed(value: float | None, device: Device, what: str) -> float:
    if not value:
        raise UnknownSpeed(f"{device.id}: its {what} is not known, so its speed cannot be predicted")
    return value
