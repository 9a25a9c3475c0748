"""Graphics cards: what drivers report, and which known device a card is."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from system_files import tree

from bitwright.hardware import devices, gpus


class FakeNvml(types.ModuleType):
    """A pynvml for a machine with an H100 and a card that reports only its name."""

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


def test_no_cards_without_a_driver_or_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()

    def fails() -> None:
        raise fake.NVMLError("Driver Not Loaded")

    fake.nvmlInit = fails  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert list(gpus.nvidia()) == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert list(gpus.nvidia()) == []


def test_amd_cards_from_sysfs(tmp_path: Path) -> None:
    place = "sys/class/drm/card1/device"
    files = {f"{place}/vendor": "0x1002\n", f"{place}/product_name": "AMD Radeon RX 7900 XTX\n",
             f"{place}/mem_info_vram_total": str(24 << 30), f"{place}/mem_info_vram_used": str(1 << 30),
             "sys/class/drm/card0/device/vendor": "0x8086\n",
             "sys/class/drm/card1-DP-1/device/vendor": "0x1002\n"}  # fmt: skip
    (card,) = gpus.amd(tree(tmp_path, files))
    assert (card.memory_bytes, card.memory_free) == (24 << 30, 23 << 30)
    assert gpus.known_as(card, devices.built_in()) == "rx-7900xtx-24gb"


def test_apple_cards() -> None:
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
def test_name_and_memory_identify_a_card(name: str) -> None:
    """Similar names are different cards: a 3090 Ti is not a 3090, and a 4090 D is not a 4090.

    Published tables have confused them."""
    size, id = NAMES[name]
    assert gpus.known_as(gpus.Gpu(name, "nvidia", int(size * 2**30)), devices.built_in()) == id
