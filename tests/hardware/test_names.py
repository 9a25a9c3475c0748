"""Devices by the names that people type."""

from __future__ import annotations

import pytest

from bitwright.errors import UnknownNameError, UsageError
from bitwright.hardware import devices


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("3090", "rtx-3090-24gb"),
        ("rtx-3090", "rtx-3090-24gb"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090-24gb"),
        ("RTX4090", "rtx-4090-24gb"),
        ("4060 Ti", "rtx-4060ti-16gb"),
        ("7900xtx", "rx-7900xtx-24gb"),
        ("T4", "tesla-t4-16gb"),
        ("RTX Pro 6000", "rtx-pro-6000-blackwell-96gb"),
        ("M1", "apple-m1-8c"),
        ("M1 Max", "apple-m1-max-24c apple-m1-max-32c"),
        ("m1 max 64gb", "apple-m1-max-32c"),
        ("H100", "h100-sxm-80gb h100-pcie-80gb"),
        ("DGX Spark", "dgx-spark-gb10"),
        ("gb10", "dgx-spark-gb10"),
        ("Strix Halo", "ryzen-ai-max-395"),
        ("pi 5", "raspberry-pi-5"),
    ],
)
def test_names_as_people_type_them(typed: str, ids: str) -> None:
    assert [device.id for device in devices.find(typed)] == ids.split()


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("5070", "rtx-5070ti-16gb"),  # another chip than the 5070 Ti
        ("4060", "rtx-4060ti-16gb"),
        ("rtx 6000", "rtx-a6000-48gb"),
        ("580", "arc-b580-12gb"),
        ("7950x3d", "ryzen-9-7950x"),
        ("max", "apple-m1-max-24c"),
        ("5", "raspberry-pi-5"),
        ("", ""),
    ],
)
def test_a_name_is_not_taken_for_a_neighbour(typed: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown device '{typed}'; did you mean .*{near}") as raised:
        devices.find(typed)
    assert str(raised.value).count(",") == 2  # three names


def test_a_name_of_any_length_gets_a_short_answer() -> None:
    with pytest.raises(UnknownNameError, match="unknown device 'mmm") as raised:
        devices.find("m" * 100_000)
    assert len(str(raised.value)) < 200


def test_one_device_is_asked_for_once() -> None:
    assert [d.id for d in devices.named(["3090", "rtx-3090-24gb", "M1"])] == ["rtx-3090-24gb", "apple-m1-8c"]
    with pytest.raises(UsageError, match="M1 Max names several devices: apple-m1-max-24c, apple-m1-max-32c"):
        devices.get("M1 Max")
