"""This machine: what is read from the system's files, how limits are respected, what is measured and remembered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bitwright import formats, kernels
from bitwright.hardware import detect, devices, gpus, machine, rates
from bitwright.hardware.rates import Kernel, Measured

CPUINFO = """processor\t: 0
model name\t: Example  CPU @ 3 GHz
flags\t\t: fpu sse2 avx2 fma f16c avx512f avx512_vnni amx_int8 sse2
"""
MEASURED = Measured("2026-11-24", kernels.tier(), 2, 20e9, 12e9, 500e9, 360e9, 180e9, {"q4_k": Kernel(10e9, 110e9)})


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


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


def test_memory_of_nodes_that_are_not_allowed_does_not_count(tmp_path: Path) -> None:
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


def test_macos_is_asked_by_its_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = json.dumps({"SPDisplaysDataType": [{"sppci_model": "Apple M1 Max", "sppci_cores": "32"}]})
    answers = {"sysctl": SYSCTL, "vm_stat": VM_STAT, "system_profiler": cards}
    monkeypatch.setattr(detect, "run", lambda command, *_: answers[command])
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    found = detect.system()
    assert (found.cpu, found.cores_physical, found.memory_total) == ("Apple M1 Max", 10, 64 << 30)
    assert found.features == ("asimd", "asimddp", "asimdhp") and found.last_cache_bytes == 12 << 20
    assert found.memory_available == 155000 * 16384 and found.memory_bytes == 64 << 30
    assert [gpus.known_as(gpu, devices.built_in()) for gpu in gpus.find()] == ["apple-m1-max-32c"]
    answers.update(dict.fromkeys(answers, ""))  # commands that are missing or fail
    assert detect.system().memory_available is None and gpus.find() == ()


def test_a_command_that_is_not_there_prints_nothing() -> None:
    assert detect.run("no-such-command-anywhere") == "" and detect.run("false") == ""


def test_arm_features_have_the_kernels_names(tmp_path: Path) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd aes asimdhp asimddp i8mm bf16 sve\nModel\t: Raspberry Pi 5\n"
    found = detect.system(tree(tmp_path, {"proc/cpuinfo": text}))
    assert found.features == ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve") and found.cpu == "Raspberry Pi 5"


def test_an_empty_system_is_no_failure(tmp_path: Path) -> None:
    found = detect.system(tmp_path)
    assert found.cores_physical is None and found.memory_limit is None and found.cores_usable >= 1


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
    assert detect.cgroup_limits(tree(tmp_path, files)) == limits


def test_limits_bound_what_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


class FakeNvml(types.ModuleType):
    """What pynvml says of a machine with an H100, and with one card that answers nothing but its name."""

    NVML_CLOCK_MEM = 2

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.shut = False
        memory = types.SimpleNamespace(total=85520809984, free=85_000_000_000)
        answers = {
            "Name": ("NVIDIA H100 80GB HBM3", b"Odd card"),
            "MemoryInfo": (memory,),
            "CudaComputeCapability": ((9, 0),),
            "MemoryBusWidth": (5120,),
            "PowerManagementDefaultLimit": (700_000,),
        }
        for name, values in answers.items():
            setattr(self, f"nvmlDeviceGet{name}", lambda card, values=values: self.answer(values, card))
        self.nvmlDeviceGetMaxClockInfo = lambda card, kind: self.answer((2619,), card)

    def answer(self, values: tuple[object, ...], card: int) -> object:
        if card >= len(values):
            raise self.NVMLError("not supported")
        return values[card]

    def nvmlInit(self) -> None: ...

    def nvmlShutdown(self) -> None:
        self.shut = True

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"


def test_nvidia_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    h100, odd = gpus.nvidia()
    assert fake.shut
    assert h100.isa == "sm_90" and h100.power_watts == 700 and h100.driver == "580.1"
    assert h100.bandwidth == pytest.approx(devices.built_in()["h100-sxm-80gb"].bandwidth, rel=0.001)
    assert gpus.known_as(h100, devices.built_in()) == "h100-sxm-80gb"
    assert odd == gpus.Gpu("Odd card", "nvidia", None, driver="580.1")
    assert gpus.known_as(odd, devices.built_in()) is None


def test_without_a_driver_or_a_library_there_are_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()

    def fails() -> None:
        raise fake.NVMLError("Driver Not Loaded")

    fake.nvmlInit = fails  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert list(gpus.nvidia()) == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert list(gpus.nvidia()) == []


def test_amd_cards_of_sysfs(tmp_path: Path) -> None:
    place = "sys/class/drm/card1/device"
    files = {f"{place}/vendor": "0x1002\n", f"{place}/product_name": "AMD Radeon RX 7900 XTX\n",
             f"{place}/mem_info_vram_total": str(24 << 30), f"{place}/mem_info_vram_used": str(1 << 30),
             "sys/class/drm/card0/device/vendor": "0x8086\n",
             "sys/class/drm/card1-DP-1/device/vendor": "0x1002\n"}  # fmt: skip
    (card,) = gpus.amd(tree(tmp_path, files))
    assert (card.memory_bytes, card.memory_free) == (24 << 30, 23 << 30)
    assert gpus.known_as(card, devices.built_in()) == "rx-7900xtx-24gb"


def test_apples_own() -> None:
    text = json.dumps({"SPDisplaysDataType": [{"sppci_model": "Apple M1 Max", "sppci_cores": "32"}, {"_name": "x"}]})
    (card,) = gpus.apples(text)
    assert gpus.known_as(card, devices.built_in()) == "apple-m1-max-32c"
    assert list(gpus.apples("")) == []


NAMES = {
    "NVIDIA GeForce RTX 3090": (24, "rtx-3090-24gb"),
    "NVIDIA GeForce RTX 3090 Ti": (24, None),
    "NVIDIA GeForce RTX 4060 Ti": (16, "rtx-4060ti-16gb"),
    "NVIDIA GeForce RTX 3060": (8, None),
    "NVIDIA GeForce RTX 4090 D": (24, None),
    "NVIDIA A100-SXM4-80GB": (80, "a100-80gb"),
    "NVIDIA A100-SXM4-40GB": (40, None),
    "NVIDIA H100 PCIe": (80, "h100-pcie-80gb"),
    "NVIDIA B200": (179, "b200-180gb"),
    "Tesla T4": (15, "tesla-t4-16gb"),
    "Tesla P40": (22.5, "tesla-p40-24gb"),
    "NVIDIA GB10": (119, "dgx-spark-gb10"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_the_device_of_its_name_and_memory(name: str) -> None:
    """Near names are other cards: a 3090 Ti is no 3090, a 4090 D no 4090 (traps that published tables fell into)."""
    size, id = NAMES[name]
    assert gpus.known_as(gpus.Gpu(name, "nvidia", int(size * 2**30)), devices.built_in()) == id


def test_measuring_one_format_gives_what_the_kernel_can_do() -> None:
    """Rates of a small weight: positive, and integer products at most twice what the machine's peak was measured as."""
    rate = rates.kernel(formats.get("q4_0"), 1, 1 << 20)
    peaks = (kernels.Meter(1).int8_gop_s() * 1e9 for _ in range(20))  # until one is not disturbed by other work
    assert 1e7 < rate.decode < 1e12 and rate.prefill > 1e8 and any(rate.prefill < 2 * peak for peak in peaks)


def test_a_measurement_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "new"))
    calls = []
    monkeypatch.setattr(machine, "measure", lambda *_: calls.append(1) or MEASURED)
    assert machine.this_machine().measured == machine.this_machine().measured == MEASURED
    assert len(calls) == 1
    machine.this_machine(again=True)
    assert len(calls) == 2
    monkeypatch.setenv("BITWRIGHT_TIER", "scalar")  # another tier is another machine
    machine.this_machine()
    assert len(calls) == 3


@pytest.mark.parametrize(
    "damage",
    ["", "[]", "null", '{"fingerprint": 1}', '{"fingerprint": "FP"}', '{"fingerprint": "FP", "measured": []}',
     '{"fingerprint": "FP", "measured": {"kernels": {"q4_k": {"decode": 1}}}}', "read", "kernel"],
)  # fmt: skip
def test_a_damaged_memory_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "measure", lambda *_: MEASURED)
    machine.this_machine()
    kept = json.loads((tmp_path / "machine.json").read_text())
    if damage == "read":
        kept["measured"]["read"] = -1.0
        damage = json.dumps(kept)
    elif damage == "kernel":
        kept["measured"]["kernels"]["q4_k"]["decode"] = "fast"
        damage = json.dumps(kept)
    (tmp_path / "machine.json").write_text(damage.replace("FP", kept["fingerprint"]))
    other = replace(MEASURED, date="2026-11-25")
    monkeypatch.setattr(machine, "measure", lambda *_: other)
    assert machine.this_machine().measured == other


@pytest.mark.parametrize("tier", kernels.tiers())
def test_the_machine_is_a_device(tier: str) -> None:
    measured = replace(MEASURED, tier=tier)
    device = machine.Machine(detect.system(), (), tuple(kernels.tiers()), measured).device()
    assert device.id == devices.THIS_MACHINE and device.bandwidth == 20e9
    assert device.memory_bytes == detect.system().memory_bytes
    assert device.compute["int4"].peak == device.compute["int8"].peak == 500e9
    assert device.compute["bf16"].via == "fp32" and device.compute["bf16"].peak == 180e9
    assert device.compute["int8"].native == (tier != "avx2"), "AVX2 multiplies bytes into 16 bits"
    assert device.standing("bandwidth") == device.standing("compute.int4") == "measured"
    assert "fp64" not in device.compute and set(device.compute) <= set(devices.FORMATS)


def test_every_tier_of_the_engine_says_what_it_multiplies_with() -> None:
    from bitwright.hardware import schema

    built = {path.stem for path in (Path(__file__).parents[2] / "native/tiers").glob("*.cpp")}
    assert set(schema.data("tiers.json")["tiers"]) == built


def test_importing_devices_imports_nothing_heavy() -> None:
    code = "import sys, bitwright.hardware.devices; print({'numpy', 'pynvml', 'platformdirs'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
