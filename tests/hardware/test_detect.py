"""What is detected about the system, and that its limits are respected."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from system_files import tree

from bitwright import kernels
from bitwright.hardware import detect, devices, gpus
from bitwright.kernels import cores

CPUINFO = """processor\t: 0
model name\t: Example  CPU @ 3 GHz
flags\t\t: fpu sse2 avx2 fma f16c avx512f avx512_vnni amx_int8 sse2
"""


def cpu(number: int, core: int, package: int = 0) -> dict[str, str]:
    place = f"sys/devices/system/cpu/cpu{number}"
    cache = {"level": "3", "size": "32768K", "shared_cpu_list": f"{4 * package}-{4 * package + 3}"}
    first = {"level": "1", "size": "32K", "shared_cpu_list": str(number)}
    return {
        f"{place}/topology/core_id": str(core),
        f"{place}/topology/physical_package_id": str(package),
        **{f"{place}/cache/index3/{key}": value for key, value in cache.items()},
        **{f"{place}/cache/index0/{key}": value for key, value in first.items()},
    }


def test_linux_files_are_read(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": CPUINFO, "proc/meminfo": "MemTotal:  16777216 kB\nMemAvailable:  8388608 kB\n"}
    for number in range(8):
        files |= cpu(number, number % 4 // 2, number // 4)  # two packages of two cores of two threads
    files |= {f"sys/devices/system/node/node{n}/meminfo": f"Node {n} MemTotal:  8388608 kB\n" for n in (0, 1)}
    files |= {f"sys/devices/system/node/node{n}/cpulist": f"{4 * n}-{4 * n + 3}\n" for n in (0, 1)}
    found = detect.system(tree(tmp_path, files))
    assert found.cpu == "Example CPU @ 3 GHz"
    assert found.features == ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "amx_int8")
    assert (found.cores_physical, found.cores_logical) == (4, 8)
    assert found.last_cache_bytes == 64 << 20
    assert (found.memory_total, found.memory_available, found.memory_limit) == (16 << 30, 8 << 30, None)
    assert found.nodes == (detect.Node("0-3", 8 << 30), detect.Node("4-7", 8 << 30))


def test_memory_of_disallowed_nodes_does_not_count(tmp_path: Path) -> None:
    files = {"proc/meminfo": "MemTotal:  33554432 kB\n", "proc/self/status": "Name:\tx\nMems_allowed_list:\t0,2-3\n"}
    for n in range(12):
        files[f"sys/devices/system/node/node{n}/meminfo"] = f"Node {n} MemTotal:  1048576 kB\n"
    found = detect.system(tree(tmp_path, files))
    assert [n.allowed for n in found.nodes] == [True, False, True, True] + 8 * [False]
    assert found.memory_bytes == 3 << 30
    (tmp_path / "proc/self/status").write_text("Mems_allowed_list:\t0-11\n")
    assert detect.system(tmp_path).memory_bytes == 32 << 30


SYSCTL = """hw.physicalcpu: 10
hw.logicalcpu: 10
hw.memsize: 68719476736
hw.perflevel0.l2cachesize: 12582912
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_FP16: 1
hw.optional.arm.FEAT_BF16: 0
machdep.cpu.brand_string: Apple M1 Max
"""
VM_STAT = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               100000.
Pages active:                             900000.
Pages inactive:                            50000.
Pages speculative:                          5000.
"""


def test_macos_is_read_through_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = json.dumps({"SPDisplaysDataType": [{"sppci_model": "Apple M1 Max", "sppci_cores": "32"}]})
    answers = {"sysctl": SYSCTL, "vm_stat": VM_STAT, "system_profiler": cards}
    monkeypatch.setattr(detect, "run", lambda command, *_: answers[command])
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    found = detect.system()
    assert (found.cpu, found.cores_physical, found.memory_total) == ("Apple M1 Max", 10, 64 << 30)
    assert found.features == ("asimd", "asimddp", "asimdhp") and found.last_cache_bytes == 12 << 20
    assert found.memory_available == detect.available() == 155000 * 16384 and found.memory_bytes == 64 << 30
    assert [gpus.known_as(gpu, devices.built_in()) for gpu in gpus.find()] == ["apple-m1-max-32c"]
    answers.update(dict.fromkeys(answers, ""))  # commands that are missing or fail
    assert detect.system().memory_available is None and detect.available() is None and gpus.find() == ()


def test_a_missing_or_failing_command_gives_no_output() -> None:
    assert detect.run("no-such-command-anywhere") == "" and detect.run("false") == ""


def test_arm_features_have_the_names_of_the_linux_kernel(tmp_path: Path) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd aes asimdhp asimddp i8mm bf16 sve\nModel\t: Raspberry Pi 5\n"
    found = detect.system(tree(tmp_path, {"proc/cpuinfo": text}))
    assert found.features == ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve") and found.cpu == "Raspberry Pi 5"


def test_an_empty_system_is_not_an_error(tmp_path: Path) -> None:
    found = detect.system(tmp_path)
    assert found.cores_physical is None and found.memory_limit is None and found.cores_usable >= 1
    assert detect.available(tmp_path) is None


def test_what_is_available_is_within_the_limit_of_the_group(tmp_path: Path) -> None:
    assert detect.available(tree(tmp_path, {"proc/meminfo": "MemAvailable:  8388608 kB\n"})) == 8 << 30
    group = {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": str(1 << 30)}
    assert detect.available(tree(tmp_path, group)) == 1 << 30


CGROUPS = {
    "none": ({}, (None, None)),
    "v2": ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/a/b/memory.max": "1073741824\n"}, (1.5, 1 << 30)),
    "v2, bound by the group above": ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/cpu.max": "400000 100000\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/memory.max": "5000\n"}, (4.0, 5000)),
    "v2 in a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000",
            "sys/fs/cgroup/memory.max": "max"}, (2.0, None)),
    "v1": ({"proc/self/cgroup": "4:memory:/m\n3:cpu,cpuacct:/c\n1:name=systemd:/\n",
            "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "777",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, (0.5, 777)),
    "v1 without limits": ({"proc/self/cgroup": "4:memory:/\n3:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, (None, None)),
}  # fmt: skip


@pytest.mark.parametrize(("files", "limits"), CGROUPS.values(), ids=list(CGROUPS))
def test_cgroup_limits(tmp_path: Path, files: dict[str, str], limits: tuple[float | None, int | None]) -> None:
    assert cores.cgroup_limits(tree(tmp_path, files)) == limits


def test_cores_and_memory_stay_within_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "usable_cores", lambda: 8)
    files = {"proc/meminfo": "MemTotal: 1048576 kB\n", "proc/self/cgroup": "0::/\n",
             "sys/fs/cgroup/cpu.max": "250000 100000", "sys/fs/cgroup/memory.max": "536870912"}  # fmt: skip
    found = detect.system(tree(tmp_path, files))
    assert found.cores_usable == 2 and found.memory_bytes == 512 << 20
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("10000 100000")
    assert detect.system(tmp_path).cores_usable == 1


def test_the_real_system_agrees_with_python() -> None:
    found = detect.system()
    assert found.cores_logical >= found.cores_usable >= 1 and found.cores_usable <= len(os.sched_getaffinity(0))
    assert found.memory_total == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert set(found.features) <= detect.FEATURES
    assert ("avx2" in found.features) == ("avx2" in kernels.tiers())
