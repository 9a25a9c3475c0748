"""What a system says of its cores: which are fast where there are two kinds, and the time that it gives this process.

Linux is read from /sys and /proc, under `root`, so that tests can supply their own. It lists the fast cores of Intel's
chips, and gives each core of Arm's a capacity; one of at least half of the highest is fast here. `system.fast_cores`
asks macOS and Windows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from bitwright import system

UNLIMITED = 1 << 60  # cgroup 1 writes a number near 2**63 if there is no limit
ROOT = Path("/")


def fast_cores(root: Path = ROOT, cpus: Iterable[int] | None = None) -> int:
    """How many fast cores this process may use; 0 if the chip has one kind, or the system does not say. `cpus`: those
    that it may run on (Linux only; default: as the system says)."""
    if sys.platform != "linux":
        return system.fast_cores()
    return _linux(root, set(system.allowed_cpus() if cpus is None else cpus))


def _linux(root: Path, cpus: set[int]) -> int:
    """The fast cores among `cpus`, of which each may run several threads; 0 if all are of one kind."""
    fast = numbers_in(text_in(root / "sys/devices/cpu_core/cpus") or "")  # there is one only beside cpu_atom
    folder = root / "sys/devices/system/cpu"
    if not fast:
        present = numbers_in(text_in(folder / "present") or "")
        capacity = {cpu: number_in(folder / f"cpu{cpu}/cpu_capacity") or 0 for cpu in present}
        fast = {cpu for cpu, own in capacity.items() if 2 * own >= max(capacity.values())}
        if len(fast) == len(capacity):
            return 0
    siblings = {cpu: text_in(folder / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in fast & cpus}
    return len(set(siblings.values()))


def cgroup_limits(root: Path = ROOT) -> tuple[float | None, int | None]:
    """Cores and bytes of memory that this process's control groups (either version) allow; None: no limit.

    A group is also bound by its ancestors, and a container sees its own group as the root: the lowest limit applies.
    """
    quotas, memories = [], []
    for line in (text_in(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, path = line.split(":", 2)
        for name in ("",) if number == "0" else controllers.split(","):
            base = root / "sys/fs/cgroup" / name
            own = base / path.lstrip("/")
            for group in [own, *own.parents[: len(own.parents) - len(base.parents)]]:
                quotas.append(_quota(group))
                memories.append(number_in(group / ("memory.limit_in_bytes" if name else "memory.max")))
    limit = min((m for m in memories if m is not None and m < UNLIMITED), default=None)
    return min((q for q in quotas if q is not None), default=None), limit


def _quota(group: Path) -> float | None:
    if words := (text_in(group / "cpu.max") or "").split():  # version 2: "200000 100000" or "max 100000"
        return int(words[0]) / int(words[1]) if words[0] != "max" else None
    quota, period = number_in(group / "cpu.cfs_quota_us"), number_in(group / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def numbers_in(text: str) -> set[int]:
    """0-2,5 -> {0, 1, 2, 5}, as the kernel writes sets of CPUs and nodes."""
    parts = (part.partition("-") for part in text.split(",") if part)
    return {n for low, _, high in parts for n in range(int(low), int(high or low) + 1)}


def number_in(path: Path) -> int | None:
    """The whole number that a file holds; None if it does not, or cannot be read."""
    text = text_in(path) or ""
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def text_in(path: Path) -> str | None:
    """The file's text, stripped; None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
