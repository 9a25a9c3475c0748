"""Rooflines: the numbers of `explain` and of the speed model, of a device and of this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bitwright.hardware import devices
from bitwright.hardware import machine as machines
from bitwright.hardware.execution import execution_path
from bitwright.hardware.machine import Machine
from bitwright.io import gguf
from bitwright.io.gguf import GGUF
from bitwright.views.execution import execution
from bitwright.views.roofline import FORMATS, RECIPES, measured_formats, roofline


@pytest.fixture(scope="module")
def file(stories260k: Path) -> GGUF:
    return gguf.open(stories260k)


def test_a_device(file: GGUF) -> None:
    h100 = devices.get("h100-sxm-80gb")
    found = roofline(file, h100)
    assert [f["format"] for f in found["formats"]][2:] == list(FORMATS[2:]) and not found["measured"]
    for name, row in zip(FORMATS, found["formats"], strict=True):
        path = execution_path(name, h100)
        assert execution([path]).items() <= row.items()
        assert (row["stored_bytes_per_second"], row["operations_per_second"]) == (h100.bandwidth, path.peak)
        bend = row["bits_per_weight"] / 8 * row["operations_per_second"] / (2 * row["stored_bytes_per_second"])
        assert row["break_even_tokens"] == pytest.approx(bend)
    own, larger = found["models"]
    assert [r["recipe"] for r in own["recipes"]] == list(RECIPES)
    assert own["weights"] == found["weights"] < 3e5 and larger["weights"] > 7e9
    speeds = [r["decode"]["tokens_per_second"] for r in larger["recipes"]]
    assert sorted(speeds) == speeds


def test_this_machine(file: GGUF, machine: Machine) -> None:
    found = roofline(file, machine.device(), machine)
    row = next(f for f in found["formats"] if f["format"] == "q4_k")
    assert found["measured"] and (row["stored_bytes_per_second"], row["operations_per_second"]) == (10e9, 100e9)
    assert found["without_speeds"] is None


def test_a_device_without_a_figure_is_said(file: GGUF) -> None:
    found = roofline(file, replace(devices.get("h100-sxm-80gb"), compute={}, vector={}))
    assert found["formats"] and not found["models"] and "float32 rate is not known" in found["without_speeds"]
    assert {row["operations_per_second"] for row in found["formats"]} == {None}


def test_what_is_remembered(file: GGUF, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machines, "_place", lambda: tmp_path / "machine.json")
    wanted = measured_formats(file)
    assert not machines.remembered(wanted)
    machines._remember(machines._fingerprint(machine.system), machine.measured)
    assert machines.remembered(wanted)
