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
        ("4060 Ti", "rtx-4060ti-16gb rtx-4060ti-8gb"),
        ("4070", "rtx-4070-12gb"),
        ("4070 Super", "rtx-4070-super-12gb"),
        ("M4 Max 64GB", "apple-m4-max-40c apple-m4-max-32c"),
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
        ("5060", "rtx-5060ti-16gb"),  # another chip than the 5060 Ti
        ("3090 48gb", "rtx-3090-24gb"),  # a card's memory cannot be chosen
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


def test_a_computer_is_planned_with_its_own_memory() -> None:
    (m5,) = devices.find("M5 Max 64 GiB")
    assert (m5.id, m5.memory_bytes) == ("apple-m5-max-40c", 64 << 30)
    assert [d.memory_bytes for d in devices.named(["M5 Max", "M5 Max 64GB", "m5 max 128gb"])] == [128 << 30, 64 << 30]


def test_siblings_are_scaled_and_say_so() -> None:
    card, base = devices.get("4070"), devices.get("rtx-4080-16gb")
    assert card.bandwidth == 504e9 and card.memory_bytes == 12 << 30 and card.prices == ()
    for format, rate in card.compute.items():
        own = base.compute[format]
        assert rate.native == own.native and (rate.peak or 0) == pytest.approx((own.peak or 0) * 29.1 / 48.74, rel=1e-3)
    assert "rtx-4080-16gb" in (card.notes or "") and card.standing("compute.int8") == "computed"
    assert card.standing("bandwidth") == "read" and devices.get("3070").standing("bandwidth") == "general knowledge"


def test_a_name_of_any_length_gets_a_short_answer() -> None:
    with pytest.raises(UnknownNameError, match="unknown device 'mmm") as raised:
        devices.find("m" * 100_000)
    assert len(str(raised.value)) < 200


def test_one_device_is_asked_for_once() -> None:
    assert [d.id for d in devices.named(["3090", "rtx-3090-24gb", "M1"])] == ["rtx-3090-24gb", "apple-m1-8c"]
    with pytest.raises(UsageError, match="M1 Max names several devices: apple-m1-max-24c, apple-m1-max-32c"):
        devices.get("M1 Max")
