"""The published speeds that the speed model is fitted to: which rows can be used, and the work of each."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bitwright import formats
from bitwright.errors import UnknownNameError
from bitwright.hardware import forecast, speed
from bitwright.hardware.devices import Device, built_in
from bitwright.hardware.kv import kv_read
from bitwright.hardware.weights import assign, operations_per_token, weight_bytes
from bitwright.model.architectures import published
from bitwright.model.architectures.names import EXPERTS
from bitwright.model.architectures.outline import Outline, from_published
from bitwright.recipes.file_types import ALIASES, FILE_TYPES

FILE = Path(__file__).parent / "data/measured.json"
GIB = 2**30
SIBLINGS = {  # chip: a listed device with another number of the same cores
    "M1": "apple-m1-8c", "M1 Pro": "apple-m1-pro-16c", "M1 Ultra": "apple-m1-max-32c", "M2": "apple-m2-10c",
    "M2 Pro": "apple-m2-max-38c", "M2 Max": "apple-m2-max-38c", "M2 Ultra": "apple-m2-ultra-76c",
    "M3 Pro": "apple-m3-max-40c", "M3 Max": "apple-m3-max-40c", "M3 Ultra": "apple-m3-ultra-80c",
    "M4 Pro": "apple-m4-pro-20c", "M4 Max": "apple-m4-max-40c",
}  # fmt: skip
MAIN = {"Q4_K_M": "q4_k", "Q4_K_S": "q4_k", "UD-Q4_K_XL": "q4_k", "Q2_K_S": "q2_k", "Q3_K_S": "q3_k", "Q5_K_S": "q5_k"}
OLD_BUILDS = {"dgx-spark-gb10": "b6761"}  # which ran at half the speed that b7941 reached on the same machine
outline = cache(from_published)  # many rows are of one model
NATIVE_FP4 = ("native mxf4", "benches/dgx-spark")  # rows of builds after December 2025, which multiply MXFP4 natively


class Case(NamedTuple):
    """One measured time: seconds per decoded token or per prompt, and the inputs of the speed model."""

    device: Device
    backend: speed.Backend
    row: Mapping[str, Any]
    seconds: float
    tokens: int
    terms: Mapping[str, float]


@cache
def cases(what: str) -> tuple[list[Case], Counter[str]]:
    """The rows that can be used for "decode" or "prefill", and why others cannot."""
    file = json.loads(FILE.read_text(encoding="utf-8"))
    found: list[Case] = []
    left_out: Counter[str] = Counter()
    for row in file["rows"]:
        row["source"] = file["sources"][row["source"]]
        device = device_of(row)
        name = file["shapes"].get(row["model"], row["model"])
        model = outline(name) if name in published.models() else None
        if reason := unfit(row, device, model):
            left_out[reason] += 1
            continue
        assert device is not None and model is not None
        found += of_row(what, row, device, model)
    return found, left_out


def unfit(row: Mapping[str, Any], device: Device | None, model: Outline | None) -> str | None:
    """Why a row cannot be used; None if it can."""
    note = row.get("note", "")
    if row["quality"] != "community":
        return f"quality {row['quality']}"
    reasons = {
        "several devices": row.get("n_gpu", 1) > 1,
        "a device without published bandwidth here": device is None,
        "a model whose shape is not known here": model is None,
        "MLX": "MLX" in row["backend"],
        "the CPU of a chip that is described by its GPU": device is not None
        and "CPU" in row["backend"] and speed.backend_of(device) != "cpu",
        "Vulkan over Metal": "MoltenVK" in note,
        "a duplicate, or a neighbouring device": "duplicate" in note or "nearest" in note,
        "a format or size that is not stated": size(row, model) is None,
        "a build that a later one doubled": str(row.get("build")).startswith(OLD_BUILDS.get(row.get("device_id"), "-")),
    }  # fmt: skip
    return next((reason for reason, holds in reasons.items() if holds), None)


def device_of(row: Mapping[str, Any]) -> Device | None:
    """The device by its id, or an Apple chip derived from one with another number of the same cores."""
    if "device_id" in row:
        return built_in()[row["device_id"]]
    chip = re.match(r"Apple (M\d(?: \w+)?) \((\d+)-core GPU\)$", row["device"])
    if not chip or "bandwidth_gb_s" not in row:
        return None
    sibling = built_in()[SIBLINGS[chip[1]]]
    share = int(chip[2]) / int(re.search(r"(\d+)c$", sibling.id)[1])  # type: ignore[index]
    rates = {
        name: dataclasses.replace(rate, peak=rate.peak and rate.peak * share) for name, rate in sibling.compute.items()
    }
    return dataclasses.replace(
        sibling, id=row["device"], bandwidth=row["bandwidth_gb_s"] * 1e9, compute=rates,
        vector={name: peak and peak * share for name, peak in sibling.vector.items()},
    )  # fmt: skip


def backend_of(row: Mapping[str, Any], device: Device) -> speed.Backend:
    if row["engine"].startswith("ik_llama"):
        return "ik"
    name = row["backend"]
    known = {"CUDA": "cuda", "Metal": "metal", "Vulkan": "vulkan", "ROCm": "rocm", "HIP": "rocm", "CPU": "cpu"}
    return next((value for key, value in known.items() if name.startswith(key)), speed.backend_of(device))  # type: ignore[return-value]


def bits(quant: str) -> float | None:
    """Bits per weight of the format that most weights of a file have."""
    try:
        return formats.get(MAIN.get(quant, quant).lower()).bits_per_weight
    except UnknownNameError:
        return None


def size(row: Mapping[str, Any], model: Outline | None) -> float | None:
    """Bytes of the file; if they are not stated, what its recipe amounts to."""
    if bits(row["quant"]) is None or model is None:
        return None
    if row["model"] == "gpt-oss-120b":
        return 59.02 * GIB  # as llama.cpp prints it; some rows give the size of the 20B file
    if "size_gib" in row:
        return row["size_gib"] * GIB
    name = row["quant"].lower()
    return weight_bytes(assign(model, name)) if name in {*FILE_TYPES, *ALIASES} else None


def load_of(row: Mapping[str, Any], model: Outline) -> speed.Load:
    """The work of a file. Its embedding has the format of most weights; experts have the file's mean bits per weight,
    and only those in use count. In MXFP4 files, experts are in MXFP4 and all else shares the remaining bytes."""
    stored, per_weight = size(row, model), bits(row["quant"])
    assert stored is not None and per_weight is not None
    expert = 8 * stored / model.parameters
    if "MXFP4" in row["quant"]:
        inside = sum(math.prod(t.shape) for t in model.tensors if EXPERTS in t.name)
        expert, per_weight = 4.25, (8 * stored - 4.25 * inside) / (model.parameters - inside)
    read = stored
    for tensor in model.tensors:
        share = model.share_read(tensor.name)
        if share < 1:
            read -= (1 - share) * math.prod(tensor.shape) * (expert if EXPERTS in tensor.name else per_weight) / 8
    return speed.Load(
        read=read, stored=stored, active=operations_per_token(model) / 2, head=forecast.head(model),
        layers=len(model.layers), width=forecast.query_width(model), kind=speed.kind_of(row["quant"]),
        experts=model.experts > 0,
    )  # fmt: skip


def of_row(what: str, row: Mapping[str, Any], device: Device, model: Outline) -> Iterator[Case]:
    backend, load, setting = backend_of(row, device), load_of(row, model), setting_of(row)
    prefix, depths = ("tg", ("tg1024", "tg4096")) if what == "decode" else ("pp", ("pp4096",))
    tests = [(row.get(f"{prefix}_test"), row.get(f"{prefix}_tps")), *((name, row.get(name)) for name in depths)]
    for name, rate in tests:
        if not rate:
            continue
        number = re.search(r"^(?:pp|tg)(\d+)", name or "")
        tokens = int(number[1]) if number else 128
        if what == "decode":
            cached = kv_read(model, tokens // 2)  # on average
            yield Case(device, backend, row, 1 / rate, 1, speed.decode_terms(device, load, backend, cached, setting))
        else:
            terms = speed.prefill_terms(device, load, backend, tokens, setting)
            yield Case(device, backend, row, tokens / rate, tokens, terms)


def setting_of(row: Mapping[str, Any]) -> speed.Setting:
    cores = row["threads_tg"] / row["threads_pp"] if "threads_tg" in row else 1.0
    when = str(row.get("build", ""))
    early = "May 2024" in when or "Jan 2024" in when
    old_fp4 = "MXFP4" in row["quant"] and not any(mark in row["backend"] + row["source"] for mark in NATIVE_FP4)
    return speed.Setting(flash_attention=row.get("flash_attn", False), cores=cores, early=early, native_fp4=not old_fp4)
