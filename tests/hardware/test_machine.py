"""This machine: its rates are measured once and remembered, and it can be planned for like any device."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bitwright import formats, kernels
from bitwright.hardware import detect, devices, machine, rates, schema
from bitwright.hardware.rates import Kernel, Measured

MEASURED = Measured("2026-11-24", kernels.tier(), 2, 20e9, 12e9, 500e9, 360e9, 180e9,
                    dict.fromkeys(rates.measurable(), Kernel(10e9, 110e9)))  # fmt: skip


def test_measuring_one_format_gives_what_the_kernel_can_do() -> None:
    """The rates of a small weight are plausible: prefill is below twice the measured integer peak."""
    rate = rates.kernel(formats.get("q4_0"), 1, 1 << 20)
    peaks = (kernels.Meter(1).int8_gop_s() * 1e9 for _ in range(20))  # until other work does not disturb one
    assert 1e7 < rate.decode < 1e12 and rate.prefill > 1e8 and any(rate.prefill < 2 * peak for peak in peaks)


def test_a_measurement_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "new"))
    calls = []
    monkeypatch.setattr(machine, "measure", lambda *_: calls.append(1) or MEASURED)
    assert machine.this_machine().measured == machine.this_machine().measured == MEASURED
    assert len(calls) == 1
    machine.this_machine(again=True)
    assert len(calls) == 2
    monkeypatch.setenv("BITWRIGHT_TIER", "scalar")  # each tier is measured separately
    machine.this_machine()
    assert len(calls) == 3


@pytest.mark.parametrize(
    "damage",
    ["", "[]", "null", '{"fingerprint": 1}', '{"fingerprint": "FP"}', '{"fingerprint": "FP", "measured": []}',
     '{"fingerprint": "FP", "measured": {"kernels": {"q4_k": {"decode": 1}}}}', "read", "kernel"],
)  # fmt: skip
def test_a_damaged_record_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
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


def test_only_what_is_asked_for_is_measured_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    timed: list[str] = []
    monkeypatch.setattr(rates, "kernel", lambda format, *_: timed.append(format.name) or Kernel(1e9, 1e9))
    monkeypatch.setattr(rates, "_limits", lambda _: (1e9,) * 5)
    steps: list[tuple[float, float]] = []

    def known(*names: str) -> set[str]:
        found = machine.this_machine(report=lambda done, total, *_: steps.append((done, total)), formats=names)
        return set(found.measured.kernels)

    assert known("q4_k", "float32", "q8_k") == {"q4_k", "float32"} and sorted(set(timed)) == ["float32", "q4_k"]
    assert steps[0] == (0, 6) and steps[-1] == (6, 6)
    timed.clear()
    assert known("q4_k") == {"q4_k", "float32"} and not timed
    assert known("q4_k", "q6_k") == {"q4_k", "q6_k", "float32"} and set(timed) == {"q6_k"}
    timed.clear()
    assert set(machine.this_machine().measured.kernels) == set(rates.measurable()) and "q6_k" not in timed


@pytest.mark.parametrize("tier", schema.data("tiers.json")["tiers"])
def test_the_machine_is_a_device(tier: str) -> None:
    measured = replace(MEASURED, tier=tier)
    device = machine.Machine(detect.system(), (), tuple(kernels.tiers()), measured).device()
    assert device.id == devices.THIS_MACHINE and device.bandwidth == 20e9
    assert device.memory_bytes == detect.system().memory_bytes
    assert device.compute["int4"].peak == device.compute["int8"].peak == 500e9
    bf16 = device.compute["bf16"]
    assert (bf16.native, bf16.via, bf16.peak) == ((True, None, 360e9) if "bf16" in tier else (False, "fp32", 180e9))
    assert device.compute["int8"].native == (tier != "avx2"), "AVX2 multiplies bytes into 16 bits"
    assert device.standing("bandwidth") == device.standing("compute.int4") == "measured"
    assert "fp64" not in device.compute and set(device.compute) <= set(devices.FORMATS)


def test_every_tier_of_the_engine_is_described() -> None:
    built = {path.stem for path in (Path(__file__).parents[2] / "native/tiers").glob("*.cpp")}
    assert set(schema.data("tiers.json")["tiers"]) == built


def test_importing_devices_imports_nothing_heavy() -> None:
    code = "import sys, bitwright.hardware.devices; print({'numpy', 'pynvml', 'platformdirs'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
