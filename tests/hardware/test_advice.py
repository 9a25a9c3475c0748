"""What a plan recommends: what exists, fits with headroom and is fast enough."""

from __future__ import annotations

import dataclasses

import pytest

from bitwright.hardware import advice, catalogue, devices, plan
from bitwright.hardware.plan import Ask
from bitwright.io import gguf
from bitwright.model.architectures.outline import from_published

GIB = 1 << 30


def rows(shape: str, device: str, context: int = 8192, **options) -> list[plan.Row]:
    outline = from_published(shape)
    return plan.rows(outline, [devices.get(device)], plan.candidates(outline, None), Ask(context), **options)


def advised(*arguments, **options) -> tuple[str, int]:
    found = advice.advice(rows(*arguments, **options))
    return found.row.recipe, found.context


def test_a_model_is_planned_as_its_makers_publish_it() -> None:
    """gpt-oss ships its experts in MXFP4, and GGUF files of it hold the rest in Q8_0: 11.27 and 59.02 GiB."""
    for shape, size in (("gpt-oss-20b", 11.27), ("gpt-oss-120b", 59.02)):
        found = {row.recipe: row for row in rows(shape, "dgx-spark-gb10")}
        assert list(found) == ["mxfp4_moe", "as stored"]
        assert found["mxfp4_moe"].memory.weights / GIB == pytest.approx(size, abs=0.005)
        assert list(plan.usual(from_published(shape))) == ["mxfp4_moe"]
    assert list(plan.usual(from_published("qwen3-8b"))) == ["q4_k_m"]


def test_a_file_is_planned_as_it_is() -> None:
    outline = from_published("gpt-oss-20b")
    file = dataclasses.replace(outline, metadata=gguf.Metadata(b"", "x.gguf", {}))  # type: ignore[arg-type]
    assert not plan.shipped(file) and plan.shipped(outline)


def test_gpt_oss_on_a_dgx_spark_is_as_fast_as_published() -> None:
    """55 tokens per second at depth 4096 were published for gpt-oss-120b."""
    row = rows("gpt-oss-120b", "dgx-spark-gb10")[0]
    assert row.forecast is not None and row.forecast.decode.tokens_per_second == pytest.approx(55, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "device", "recipe", "context"),
    [
        ("gpt-oss-120b", "dgx-spark-gb10", "mxfp4_moe", 8192),
        ("qwen3-14b", "rtx-3060-12gb", "q4_k_m", 8192),  # q5_k_m would leave 200 MB
        ("llama-3.1-8b", "rtx-3090-24gb", "q8_0", 8192),
        ("llama-3.3-70b", "apple-m1-max-32c", "q4_k_m", 8192),  # q5_k_m needs a shorter context
        ("llama-3.3-70b", "rtx-3090-24gb", "iq2_m", 2560),
        ("llama-3.1-405b", "rtx-3090-24gb", "iq2_m", 0),
    ],
)
def test_recommendations(shape: str, device: str, recipe: str, context: int) -> None:
    assert advised(shape, device) == (recipe, context)


def test_the_last_megabytes_are_not_recommended() -> None:
    row = next(row for row in rows("qwen3-14b", "rtx-3060-12gb") if row.recipe == "q5_k_m")
    assert row.fits and row.tight and row.left is not None and row.left < 300e6
    assert 2048 < row.roomy < 8192
    shorter = next(r for r in rows("qwen3-14b", "rtx-3060-12gb", row.roomy) if r.recipe == "q5_k_m")
    assert not shorter.tight
    best = catalogue.best(from_published("qwen3-14b"), devices.get("rtx-3060-12gb"), Ask(8192), None, None)
    assert best is not None and best.recipe == "q4_k_m"
    only = advice.advice([row])
    assert (only.row, only.context) == (row, row.roomy)


def test_a_slow_machine_gets_its_fastest_format() -> None:
    found = advice.advice(rows("llama-3.3-70b", "ryzen-9-7950x", room=200 * 10**9))
    speeds = {r.recipe: r.forecast.decode.tokens_per_second for r in rows("llama-3.3-70b", "ryzen-9-7950x")}
    assert found.slow and found.row.recipe == max(speeds, key=lambda name: speeds[name])


def test_prices_belong_to_a_memory() -> None:
    """An M5 Max starts at $2,499, but not with the 128 GB that the list's has."""
    m5 = devices.get("apple-m5-max-40c")
    assert m5.prices and m5.prices[0].memory_gib is None and m5.bought_for == ()
    outline = from_published("llama-3.1-8b")
    found = plan.rows(outline, devices.built_in().values(), plan.usual(outline), Ask(4096))
    offered = {row.device.id for row, *_ in plan.by_budget(found, 10_000)}
    assert "rtx-3090-24gb" in offered and not {"apple-m5-max-40c", "apple-m5-10c"} & offered
    smaller = dataclasses.replace(devices.get("rtx-3090-24gb"), memory_bytes=12 * GIB)
    assert smaller.bought_for == ()
    for device in devices.built_in().values():
        assert all(price.date and price.source for price in device.prices), device.id
