"""Which cores are fast, on made-up topologies; and how many threads that makes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bitwright import kernels
from bitwright.engine import load
from bitwright.kernels import _native, cores

linux = pytest.mark.skipif(sys.platform != "linux", reason="/sys is Linux's")


def chip(root: Path, siblings: list[str], capacities: list[int] | None = None, fast: str | None = None) -> Path:
    """A /sys of CPUs with these lists of thread siblings. fast: what Intel's list of fast ones says."""
    folder = root / "sys/devices/system/cpu"
    for cpu, own in enumerate(siblings):
        place = folder / f"cpu{cpu}/topology/thread_siblings_list"
        place.parent.mkdir(parents=True)
        place.write_text(f"{own}\n")
        if capacities:
            (folder / f"cpu{cpu}/cpu_capacity").write_text(f"{capacities[cpu]}\n")
    (folder / "present").write_text(f"0-{len(siblings) - 1}\n")
    if fast:
        for name, text in (("core", fast), ("atom", "the others")):
            (root / f"sys/devices/cpu_{name}").mkdir()
            (root / f"sys/devices/cpu_{name}/cpus").write_text(text + "\n")
    return root


PAIRS = ["0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"]
ALONE = [str(cpu) for cpu in range(8)]


@linux
@pytest.mark.parametrize(
    ("siblings", "capacities", "fast", "cpus", "found"),
    [
        ([*PAIRS, *"89"], None, "0-7", range(10), 4),  # Intel: one thread for each fast core
        ([*PAIRS, *"89"], None, "0-7", [0, 1, 2, 8, 9], 2),  # pinned to some of each kind
        ([*PAIRS, *"89"], None, "0,2,4-7", range(10), 4),
        ([*PAIRS, *"89"], None, "0-7", [8, 9], 0),  # pinned to the slow ones: all of those
        (ALONE, [1024, 1024, 1024, 1024, 446, 446, 446, 446], None, range(8), 4),  # Arm
        (ALONE, [1024, 900, 900, 900, 300, 300, 300, 300], None, range(8), 4),  # three kinds
        (ALONE, [1024, 1024, 1024, 1024, 446, 446, 446, 446], None, [3, 4, 5], 1),
        (ALONE, [1024] * 8, None, range(8), 0),  # of one kind
        (PAIRS, None, None, range(8), 0),
    ],
)
def test_fast_cores(tmp_path: Path, siblings, capacities, fast, cpus, found) -> None:
    assert cores.fast_cores(chip(tmp_path, siblings, capacities, fast), cpus) == found


@linux
def test_without_a_topology_no_core_is_fast(tmp_path: Path) -> None:
    assert cores.fast_cores(tmp_path, [0, 1]) == 0


@pytest.mark.parametrize(
    ("allowed", "quota", "fast", "usable", "best"),
    [
        (12, None, 4, 12, 4),
        (12, None, 0, 12, 12),
        (12, 2.0, 4, 2, 2),  # a control group gives less than there are
        (12, 2.5, 0, 2, 2),
        (12, 0.1, 0, 1, 1),
        (3, 8.0, 4, 3, 3),
    ],
)
def test_threads_are_those_of_fast_cores_within_the_limits(
    stories260k: Path, monkeypatch: pytest.MonkeyPatch, allowed, quota, fast, usable, best
) -> None:
    core = type("Core", (), {"usable_cores": staticmethod(lambda: allowed)})
    monkeypatch.setattr(cores, "cgroup_limits", lambda: (quota, None))
    monkeypatch.setattr(cores, "fast_cores", lambda: fast)
    for cached in (_native.usable_cores, _native.best_threads):
        cached.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(_native, "core", lambda: core)
        assert (_native.usable_cores(), _native.best_threads()) == (usable, best)
    assert load(stories260k).threads == best and load(stories260k, threads=1).threads == 1
    for cached in (_native.usable_cores, _native.best_threads):
        cached.cache_clear()
    assert kernels.usable_cores is _native.usable_cores
