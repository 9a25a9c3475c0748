"""How engines run a format on a device. For llama.cpp's backends, vLLM and MLX, rules read in their sources say so
(`data/engines.json`); for bitwright, its kernels' coverage table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bitwright import kernels
from bitwright.hardware import schema
from bitwright.hardware.devices import THIS_MACHINE, Device, Rate, Standing
from bitwright.hardware.number_format import NumberFormat

PHASES = ("decode", "prefill")
GGUF_TYPES = "llama.cpp b11434 ggml/include/ggml.h, enum ggml_type"
OWN = {  # kernels.Coverage: what is multiplied, and how
    "integer dot": ("int8", "8-bit inputs, a scale per 32 columns; integer dot products, scaled in float32"),
    "bf16 dot": ("bf16", "bfloat16 inputs times bfloat16 weights"),
    "float": ("fp32", "converted to float32 in registers; multiply-add"),
    "converted": ("fp32", "converted to float32 a few rows at a time; multiply-add"),
    "reference": ("fp32", "converted to float32 once, when the model is loaded"),
}
BF16_DOT = "x86-64 .*bf16"  # machines that run the tier avx512_bf16


@dataclass(frozen=True)
class Use:
    """How an engine runs the format here in a phase ("decode", "prefill" or "any"). `multiplied_as` is None if it
    cannot. `uses_chip`: whether it uses the chip's native multiply; None if the chip has none or that is not known.
    `where`: the source of the statement; `standing`: how it is known."""

    engine: str
    phase: str
    multiplied_as: str | None
    unit: str | None
    what: str
    uses_chip: bool | None
    standing: Standing
    where: str


def uses(s: NumberFormat, device: Device, native: bool) -> Iterator[Use]:
    """What each engine that runs on the device does with the format. native: whether the chip multiplies it."""
    data = schema.data("engines.json")
    for entry in data["engines"]:
        engine = entry["engine"]
        runs = engine == "bitwright" if device.id == THIS_MACHINE else _fits(entry, device)
        if runs:
            yield from _own(s, device, native) if engine == "bitwright" else _by_rules(engine, s, device, native)


def _by_rules(engine: str, s: NumberFormat, device: Device, native: bool) -> Iterator[Use]:
    """By the first rule that matches each phase, or both at once."""
    data = schema.data("engines.json")
    rules = [r for r in data["rules"] if r["engine"] == engine and s.tokens & set(r["formats"]) and _fits(r, device)]
    if not rules and not engine.startswith("llama.cpp"):
        return  # it does not read such files
    decode, prefill = (next((r for r in rules if r["phase"] in (phase, "any")), None) for phase in PHASES)
    for phase, rule in {"any": decode}.items() if decode is prefill else zip(PHASES, (decode, prefill), strict=True):
        yield _use(rule, phase, s, native, data["sources"]) if rule else _without_rule(engine, phase, s, native)


def _fits(entry: dict[str, Any], device: Device) -> bool:
    found = (("isa", device.isa), ("arch", device.arch))
    return all(key not in entry or re.fullmatch(entry[key], value or "") for key, value in found)


def _use(rule: dict[str, Any], phase: str, s: NumberFormat, native: bool, sources: dict[str, str]) -> Use:
    as_what = s.element if rule["multiplied_as"] == "itself" else rule["multiplied_as"]
    where = rule["where"].format(**sources)
    takes = as_what == s.element if native else None
    return Use(rule["engine"], phase, as_what, rule["unit"], rule["what"], takes, rule["standing"], where)


def _without_rule(engine: str, phase: str, s: NumberFormat, native: bool) -> Use:
    """llama.cpp's files have no such type, or no source was read about it."""
    if "coded" in s.tokens or s.element in ("fp32", "fp16", "bf16"):
        return Use(engine, phase, None, None, "not known: no source was read", None, "general knowledge", "")
    fp8 = s.element in ("fp8_e4m3", "fp8_e5m2") and engine == "llama.cpp CUDA"
    what = "never: GGUF has no such type" + ("; no e4m3 multiply in its source" if fp8 else "")
    return Use(engine, phase, None, None, what, False if native else None, "read", GGUF_TYPES)


def _own(s: NumberFormat, device: Device, native: bool) -> Iterator[Use]:
    """By bitwright's kernels. Of all paths, only that of BF16 depends on the tier."""
    if s.format is None:
        what, no = "never: there is no such file format", False if native else None
        yield Use("bitwright", "any", None, None, what, no, "read", "bitwright formats")
        return
    tier = kernels.tier() if device.id == THIS_MACHINE else "scalar"
    (row,) = (c for c in kernels.coverage([s.format]) if c.tier == tier)
    paths = row.decode, row.prefill
    if s.format.name == "bfloat16" and device.id != THIS_MACHINE and re.match(BF16_DOT, device.isa or ""):
        paths = "bf16 dot", "bf16 dot"
    same = paths[0] == paths[1]
    for phase, path in {"any": paths[0]}.items() if same else zip(PHASES, paths, strict=True):
        as_what, what = OWN[path]
        takes = as_what == s.element if native else None
        yield Use("bitwright", phase, as_what, "vector", what, takes, "read", "kernels.coverage()")


def instead(uses: Sequence[Use], device: Device, as_what: str | None, unit: str) -> Use | None:
    """What engines do with a prompt if none of them multiplies as the chip would, on that unit; None if one does."""
    run = [use for use in uses if use.phase != "decode" and use.multiplied_as in device.compute]
    if any((use.multiplied_as, use.unit) == (as_what, unit) for use in run):
        return None
    return next((use for use in run if device.compute[use.multiplied_as or ""].native), None)


def as_used(device: Device, use: Use) -> Rate:
    """The rate of the format that the engine multiplies, on the unit that the engine uses."""
    rate = device.compute[use.multiplied_as or ""]
    if rate.unit == use.unit or use.unit is None:
        return rate
    peak = device.vector.get(use.multiplied_as or "")
    return Rate(True, use.unit, f"on the {use.unit} lanes", peak, accumulate=rate.accumulate)
