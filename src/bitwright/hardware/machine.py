"""This machine: what the system reports, what was measured, and the device that plans see."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import bitwright
from bitwright import kernels
from bitwright.errors import BitwrightError
from bitwright.hardware import devices, gpus, schema
from bitwright.hardware.detect import System, system
from bitwright.hardware.devices import THIS_MACHINE, Device, Rate
from bitwright.hardware.gpus import Gpu
from bitwright.hardware.rates import Kernel, Measured, measurable, measure
from bitwright.io.aliases import cache_folder
from bitwright.io.atomic import replacing

FLOATS = ("fp16", "bf16", "fp8_e4m3", "fp8_e5m2", "fp6")  # converted to float32 (bf16: on most tiers)
CONVERTED = "to float32, a few rows at a time"


@dataclass(frozen=True)
class Machine:
    """This machine: system, graphics processors, CPU tiers that run on it, and measured limits."""

    system: System
    gpus: tuple[Gpu, ...]
    tiers: tuple[str, ...]
    measured: Measured

    def device(self) -> Device:
        """The processor as bitwright's engine uses it, with measured bandwidth and peaks. Formats that the engine has
        no kernel for are not in `compute`. A GPU of the machine is another device: `Gpu.device` names it."""
        m, s = self.measured, self.system
        rates = _rates(m)
        return Device(
            id=THIS_MACHINE,
            name=f"{s.cpu}, {s.cores_usable} cores",
            vendor=next((v for v in ("amd", "intel", "apple") if v in s.cpu.lower()), "other"),
            arch=s.name.split()[-1],
            isa=" ".join(s.features) or None,
            kind="cpu",
            year=None,
            memory_bytes=s.memory_bytes,
            unified_memory=False,
            bandwidth=m.read,
            vector={"fp32": m.float32, "int8": m.int8},
            compute=rates,
            verified=frozenset({"bandwidth", "memory", *(f"compute.{f}" for f in rates)}),
            sources=(f"measured on {m.date}, tier {m.tier}, {m.threads} threads", schema.data("tiers.json")["source"]),
        )


def _rates(m: Measured) -> dict[str, Rate]:
    """How the tier in use multiplies each format it has a kernel for, by `data/tiers.json`."""
    does = schema.data("tiers.json")["tiers"][m.tier]
    int8, fp32 = does["int8"], does["fp32"]

    def via(format: str, how: str, peak: float) -> Rate:
        return Rate(False, "vector", how, peak, format, accumulate="fp32" if format == "fp32" else "int32")

    found = {"fp32": Rate(True, "vector", fp32, m.float32, basis="measured", accumulate="fp32")}
    found |= {f: via("fp32", f"{does.get(f, CONVERTED)} + {fp32}", m.float32) for f in FLOATS}
    if not does["bf16_via"]:
        found["bf16"] = Rate(True, "vector", does["bf16"], m.bf16, basis="measured", accumulate="fp32")
    exact = Rate(True, "vector", int8, m.int8, basis="measured", accumulate="int32")
    found["int8"] = via(does["int8_via"], int8, m.int8) if does["int8_via"] else exact
    found["int4"] = via("int8", f"{does['nibble']} + {int8}", m.int8)
    return found | {f: via("int8", f"{does['table']} + {int8}", m.int8) for f in ("mxfp4", "nvfp4")}


def this_machine(
    again: bool = False,
    report: Callable[..., None] = lambda *_: None,
    root: Path = Path("/"),
    formats: Collection[str] | None = None,
) -> Machine:
    """This machine, with the rates of the kernels of `formats` (None: all). Each is measured once and then read from
    the user's cache; `again` measures anew.

    A measurement is valid for the same processor, cores, memory, tier and bitwright. `report(done, total, note)`
    receives the progress.
    """
    found = system(root)
    known = devices.devices()
    cards = tuple(replace(card, device=gpus.known_as(card, known)) for card in gpus.find(root))
    fingerprint = _fingerprint(found)
    measured = None if again else _remembered(fingerprint)
    missing = set(measurable() if formats is None else formats) & set(measurable())
    missing -= set(measured.kernels) if measured else set()
    if measured is None or missing:
        more = measure(found.cores_usable, found.last_cache_bytes, report, missing)
        measured = more if measured is None else replace(measured, kernels={**measured.kernels, **more.kernels})
        _remember(fingerprint, measured)
    return Machine(found, cards, tuple(kernels.tiers()), measured)


def remembered(formats: Collection[str], root: Path = Path("/")) -> bool:
    """Whether this machine was measured, with the kernels of `formats`, so that `this_machine` needs no time."""
    found = _remembered(_fingerprint(system(root)))
    return found is not None and set(formats) & set(measurable()) <= set(found.kernels)


def _fingerprint(s: System) -> str:
    parts = s.cpu, *s.features, f"{s.cores_usable} cores", f"{s.memory_bytes >> 30} GiB", kernels.tier()
    return " ".join([*parts, f"bitwright {bitwright.__version__}"])


def _place() -> Path:
    return cache_folder() / "machine.json"


def _remembered(fingerprint: str) -> Measured | None:
    """The cached measurement; None if there is none or this machine has changed."""
    try:
        kept = schema.read(_place())
        if kept["fingerprint"] != fingerprint:
            return None
        rates = {name: Kernel(**rate) for name, rate in kept["measured"].pop("kernels").items()}
        found = Measured(**kept["measured"], kernels=rates)
        return found if _sound(found) else None
    except (OSError, BitwrightError, KeyError, TypeError, AttributeError):  # a damaged cache counts as none
        return None


def _sound(m: Measured) -> bool:
    numbers: list[Any] = [m.read, m.read_one_core, m.int8, m.bf16, m.float32]
    numbers += [x for rate in m.kernels.values() for x in (rate.decode, rate.prefill)]
    return all(isinstance(x, float) and x > 0 for x in numbers) and isinstance(m.date, str)


def _remember(fingerprint: str, measured: Measured) -> None:
    text = json.dumps({"fingerprint": fingerprint, "measured": asdict(measured)}, indent=1)
    _place().parent.mkdir(parents=True, exist_ok=True)
    with replacing(_place()) as file:
        file.write(text.encode())
