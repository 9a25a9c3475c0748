"""The graphics processors of this machine: NVIDIA's through nvidia-ml-py (if it is installed), AMD's through sysfs,
Apple's through system_profiler."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bitwright.hardware import detect
from bitwright.hardware.devices import Device
from bitwright.kernels.cores import number_in, text_in

AMD = "0x1002"  # the vendor's PCI number


@dataclass(frozen=True)
class Gpu:
    """`bandwidth`, in bytes per second, is computed from the memory's clock and width as the driver states them.
    `device` is the id of the device with its name, if there is one."""

    name: str
    vendor: str
    memory_bytes: int | None
    memory_free: int | None = None
    isa: str | None = None
    bandwidth: float | None = None
    power_watts: float | None = None
    driver: str | None = None
    device: str | None = None


def find(root: Path = Path("/")) -> tuple[Gpu, ...]:
    """The graphics processors of this machine; under another `root`, those in its sysfs."""
    if platform.system() == "Darwin" and root == Path("/"):
        return tuple(apples(detect.run("system_profiler", "-json", "SPDisplaysDataType")))
    return (*nvidia(), *amd(root))


def nvidia() -> Iterator[Gpu]:
    """NVIDIA's, in the driver's order; none if the package, the library or the driver is missing."""
    try:
        import pynvml as nvml
    except ImportError:
        return
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            yield _nvidia(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
    finally:
        nvml.nvmlShutdown()


def _nvidia(nvml, card) -> Gpu:  # type: ignore[no-untyped-def]
    def ask(function: str, *arguments):  # type: ignore[no-untyped-def]
        try:
            return getattr(nvml, function)(*arguments)
        except nvml.NVMLError:  # cards may lack a value: unified memory has no width, old cards no limit
            return None

    memory = ask("nvmlDeviceGetMemoryInfo", card)
    version = ask("nvmlDeviceGetCudaComputeCapability", card)
    clock = ask("nvmlDeviceGetMaxClockInfo", card, nvml.NVML_CLOCK_MEM)
    width = ask("nvmlDeviceGetMemoryBusWidth", card)
    watts = ask("nvmlDeviceGetPowerManagementDefaultLimit", card)
    return Gpu(
        name=_str(ask("nvmlDeviceGetName", card)) or "NVIDIA",
        vendor="nvidia",
        memory_bytes=memory.total if memory else None,
        memory_free=memory.free if memory else None,
        isa=f"sm_{version[0]}{version[1]}" if version else None,
        bandwidth=2e6 * clock * width / 8 if clock and width else None,  # MHz, two transfers a clock; bits
        power_watts=watts / 1000 if watts else None,
        driver=_str(ask("nvmlSystemGetDriverVersion")),
    )


def _str(text: str | bytes | None) -> str | None:
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def amd(root: Path = Path("/")) -> Iterator[Gpu]:
    """AMD's, as the amdgpu driver shows them in sysfs: it knows the memory and sometimes the name."""
    for card in sorted((root / "sys/class/drm").glob("card[0-9]*")):
        place = card / "device"
        if not re.fullmatch(r"card\d+", card.name) or text_in(place / "vendor") != AMD:
            continue
        total, used = (number_in(place / f"mem_info_vram_{kind}") for kind in ("total", "used"))
        yield Gpu(
            name=text_in(place / "product_name") or f"AMD {text_in(place / 'device') or 'GPU'}",
            vendor="amd",
            memory_bytes=total,
            memory_free=total - used if total is not None and used is not None else None,
        )


def apples(text: str) -> Iterator[Gpu]:
    """Apple's, from the JSON that system_profiler prints; they share the machine's memory."""
    for card in (json.loads(text) if text.strip() else {}).get("SPDisplaysDataType", []):
        cores = card.get("sppci_cores")
        model = card.get("sppci_model", "GPU")
        if model.startswith("Apple"):
            yield Gpu(f"{model} ({cores}-core GPU)" if cores else model, "apple", None)


def known_as(gpu: Gpu, devices: Mapping[str, Device]) -> str | None:
    """The id of the device with the GPU's name and, if sizes differ, the nearest memory size."""

    def words(name: str) -> set[str]:
        return set(re.findall(r"[a-z0-9-]+", re.sub(r"\d+ ?gb|\(hgx\)|nvidia|amd|corporation", " ", name.lower())))

    own = [d for d in devices.values() if d.vendor == gpu.vendor]
    same = [d for d in own if words(gpu.name) in (words(name) for name in (d.name, *d.driver_names))]
    if gpu.memory_bytes is not None:
        same = [d for d in same if d.memory_bytes and abs(d.memory_bytes / gpu.memory_bytes - 1) < 0.1]
    return same[0].id if len(same) == 1 else None
