"""What the operating system reports about this machine: cores, their features, memory, and the limits on both.

Linux is read from /proc and /sys (under `root`, so that tests can supply their own), macOS through sysctl and vm_stat.
Windows reports memory and cores. Unknown values are None.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bitwright import kernels
from bitwright.kernels.cores import cgroup_limits, numbers_in, text_in
from bitwright.system import windows_memory

FEATURES = {  # as the kernel or sysctl names them; those that decide how numbers are multiplied
    *("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2", "sme"),
}
APPLE_FEATURES = {"DotProd": "asimddp", "FP16": "asimdhp", "I8MM": "i8mm", "BF16": "bf16", "SME": "sme"}


@dataclass(frozen=True)
class Node:
    """A NUMA node: its logical CPUs as the kernel lists them, its memory, and whether this process may use that."""

    cpus: str
    memory_bytes: int
    allowed: bool = True


@dataclass(frozen=True)
class System:
    """cores_usable: cores that this process may run on, at most its cgroup's quota in whole cores; more threads would
    wait. memory_limit: bytes that the cgroup allows; None: no limit."""

    name: str
    cpu: str
    cores_physical: int | None
    cores_logical: int
    cores_usable: int
    cpu_quota: float | None
    features: tuple[str, ...]
    last_cache_bytes: int | None
    memory_total: int
    memory_available: int | None
    memory_limit: int | None
    nodes: tuple[Node, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """The most memory this process may use: that of its allowed nodes, within its cgroup's limit."""
        if not all(node.allowed for node in self.nodes):
            total = sum(node.memory_bytes for node in self.nodes if node.allowed)
        else:
            total = self.memory_total
        return min(total, self.memory_limit or total)


def system(root: Path = Path("/")) -> System:
    """This machine; under another `root`, the Linux machine whose /proc and /sys lie there."""
    here = {"Darwin": _apple, "Windows": _windows}.get(platform.system()) if root == Path("/") else None
    return here() if here else _linux(root)


def available(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process may take now; None if the system does not say."""
    here = platform.system() if root == Path("/") else "Linux"
    if here == "Darwin":
        return _apple_available(run("vm_stat"))
    if here == "Windows":
        return windows_memory()[1]
    free = _memory(root).get("MemAvailable")
    return None if free is None else min(free, cgroup_limits(root)[1] or free)


def _memory(root: Path) -> dict[str, int]:
    """Bytes of each kind of memory, as Linux names them."""
    lines = re.findall(r"^(\w+):\s+(\d+) kB", text_in(root / "proc/meminfo") or "", re.MULTILINE)
    return {name: int(kilobytes) << 10 for name, kilobytes in lines}


def _linux(root: Path) -> System:
    cpus = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*"))
    logical = len(cpus) or os.cpu_count() or 1
    names = "topology/physical_package_id", "topology/core_id"
    cores = {tuple(text_in(cpu / name) for name in names) for cpu in cpus} - {(None, None)}
    info = text_in(root / "proc/cpuinfo") or ""
    quota, limit = cgroup_limits(root)
    allowed = kernels.usable_cores()
    memory = _memory(root)
    return System(
        name=f"{platform.system()} {platform.machine()}",
        cpu=_cpu_name(info) or platform.processor() or platform.machine(),
        cores_physical=len(cores) or None,
        cores_logical=logical,
        cores_usable=max(1, min(allowed, int(quota) if quota else allowed)),
        cpu_quota=quota,
        features=tuple(f for f in _words(info, "flags", "Features") if f in FEATURES),
        last_cache_bytes=_last_cache(cpus),
        memory_total=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable"),
        memory_limit=limit,
        nodes=tuple(_nodes(root)),
    )


def _cpu_name(info: str) -> str | None:
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", info, re.MULTILINE)
    return " ".join(found[1].split()) if found else None


def _words(info: str, *keys: str) -> list[str]:
    found = re.search(rf"^(?:{'|'.join(keys)})\s*:\s*(.+)$", info, re.MULTILINE)
    return list(dict.fromkeys(found[1].split())) if found else []


def _last_cache(cpus: list[Path]) -> int | None:
    """Bytes of all last-level caches together."""
    found: dict[tuple[int, str], int] = {}
    for place in (place for cpu in cpus for place in cpu.glob("cache/index*")):
        level, size, shared = (text_in(place / name) for name in ("level", "size", "shared_cpu_list"))
        if level and size and size[-1] in "KM":
            found[int(level), shared or str(place)] = int(size[:-1]) << (10 if size[-1] == "K" else 20)
    last = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == last) or None


def _nodes(root: Path) -> Iterator[Node]:
    allowed = numbers_in("".join(_words(text_in(root / "proc/self/status") or "", "Mems_allowed_list")))
    for node in sorted((root / "sys/devices/system/node").glob("node[0-9]*"), key=lambda node: int(node.name[4:])):
        total = re.search(r"MemTotal:\s+(\d+) kB", text_in(node / "meminfo") or "")
        usable = not allowed or int(node.name[4:]) in allowed
        yield Node(text_in(node / "cpulist") or "", int(total[1]) << 10 if total else 0, usable)


def run(*command: str, seconds: float = 10) -> str:
    """The output of a system command; empty if the command is missing or fails."""
    import subprocess  # not on Linux, where `available` is asked at each start

    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _apple() -> System:
    values = dict(re.findall(r"^([\w.]+): (.*)$", run("sysctl", "hw", "machdep.cpu"), re.MULTILINE))
    number = {key: int(value) for key, value in values.items() if value.isdigit()}
    own = [name for key, name in APPLE_FEATURES.items() if number.get(f"hw.optional.arm.FEAT_{key}")]
    cores = number.get("hw.logicalcpu", os.cpu_count() or 1)
    return System(
        name=f"macOS {platform.machine()}",
        cpu=values.get("machdep.cpu.brand_string", platform.machine()),
        cores_physical=number.get("hw.physicalcpu"),
        cores_logical=cores,
        cores_usable=cores,
        cpu_quota=None,
        features=("asimd", *own) if platform.machine() == "arm64" else (),
        last_cache_bytes=number.get("hw.perflevel0.l2cachesize"),
        memory_total=number.get("hw.memsize", 0),
        memory_available=_apple_available(run("vm_stat")),
        memory_limit=None,
    )


def _windows() -> System:
    total, available = windows_memory()
    cores = os.cpu_count() or 1
    return System(
        name=f"Windows {platform.machine()}",
        cpu=platform.processor() or platform.machine(),
        cores_physical=None,
        cores_logical=cores,
        cores_usable=min(cores, kernels.usable_cores()),
        cpu_quota=None,
        features=(),
        last_cache_bytes=None,
        memory_total=total,
        memory_available=available,
        memory_limit=None,
    )


def _apple_available(text: str) -> int | None:
    """Free, inactive and speculative memory in the output of vm_stat."""
    page = re.search(r"page size of (\d+) bytes", text)
    pages = re.findall(r"^Pages (?:free|inactive|speculative):\s+(\d+)\.", text, re.MULTILINE)
    return int(page[1]) * sum(map(int, pages)) if page and pages else None
