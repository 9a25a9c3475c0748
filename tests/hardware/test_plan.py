"""Plans: what fits, the longest context, what to buy, and predictions for this machine from its measurements."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import tiny

from bitwright.errors import UnknownNameError, UsageError
from bitwright.hardware import catalogue, devices, plan
from bitwright.hardware.forecast import bytes_by_format, forecast, load_of, operations_by_format
from bitwright.hardware.memory import memory
from bitwright.hardware.plan import Ask, Cost
from bitwright.hardware.weights import assign, bytes_per_token, operations_per_token
from bitwright.io import label
from bitwright.model.architectures.outline import from_published, outline

LLAMA = from_published("llama-3.1-8b")
CARD, USUAL = devices.get("rtx-3060-12gb"), Ask(8192)


def rows(*names: str, ask: Ask = USUAL, recipes: tuple[str, ...] = ("q8_0", "q4_k_m"), **options) -> list[plan.Row]:
    found = [devices.get(name) for name in names]
    return plan.rows(LLAMA, found, plan.candidates(LLAMA, recipes), ask, **options)


def test_a_row_adds_up_its_memory() -> None:
    for row in rows("rtx-3060-12gb", "apple-m1-8c"):
        assert row.memory == memory(LLAMA, row.recipe, 8192)
        assert row.left == plan.capacity(row.device) - row.memory.total  # type: ignore[operator]
        assert row.fits == (row.left >= 0)


def test_the_longest_context_fits_and_a_longer_one_does_not() -> None:
    row = rows("rtx-3060-12gb", recipes=("q8_0",))[0]
    room = plan.capacity(CARD)
    assert room is not None and 0 < row.longest < LLAMA.context
    assert memory(LLAMA, "q8_0", row.longest).total <= room < memory(LLAMA, "q8_0", row.longest + 256).total


def test_a_context_that_is_too_long_is_shortened() -> None:
    row = rows("rtx-3060-12gb", ask=Ask(100_000), recipes=("q8_0",))[0]
    assert not row.fits and row.verdict == f"with {row.longest} tokens" and row.forecast is not None
    lighter = rows("rtx-3060-12gb", ask=Ask(100_000, "q4_0"), recipes=("q8_0",))[0]
    assert lighter.longest > 3 * row.longest
    none = rows("rtx-3060-12gb", recipes=("bf16",))[0]
    assert none.verdict == "no" and none.longest == 0 and none.forecast is None


def test_unknown_memory_is_reported_and_can_be_given() -> None:
    unknown = rows("ryzen-9-7950x")[0]
    assert unknown.capacity is None and not unknown.fits and unknown.verdict == "memory not known"
    assert unknown.forecast is not None
    assert rows("ryzen-9-7950x", room=64 * 10**9)[0].fits


def test_a_gpu_shares_its_memory_with_its_driver_and_a_mac_with_its_system() -> None:
    card, mac, small = (devices.get(name) for name in ("rtx-3090-24gb", "apple-m1-max-32c", "apple-m1-8c"))
    assert 24 * 2**30 - plan.capacity(card) == plan.DRIVER  # type: ignore[operator]
    assert plan.capacity(mac) == mac.memory_bytes * 3 // 4  # type: ignore[operator]
    assert plan.capacity(small) == small.memory_bytes * 2 // 3  # type: ignore[operator]


def test_smaller_formats_decode_faster_and_deeper_caches_slower() -> None:
    speeds = [row.forecast.decode.tokens_per_second for row in rows("rtx-3090-24gb")]
    assert speeds == sorted(speeds)
    deep = rows("rtx-3090-24gb", ask=Ask(65536))
    assert all(b.forecast.decode.tokens_per_second < a for a, b in zip(speeds, deep, strict=True))


def test_sequences_share_a_reading_of_the_weights() -> None:
    one, eight = (rows("rtx-3090-24gb", ask=Ask(4096, "f16", n), recipes=("q4_k_m",))[0] for n in (1, 8))
    assert eight.memory.kv == 8 * one.memory.kv
    gain = eight.forecast.decode.tokens_per_second / one.forecast.decode.tokens_per_second
    assert 2 < gain < 8


def test_the_load_is_that_of_the_tensors() -> None:
    assignments = assign(LLAMA, "q4_k_m")
    load = load_of(LLAMA, assignments)
    assert load.read == bytes_per_token(LLAMA, assignments) == sum(bytes_by_format(LLAMA, assignments).values())
    assert 2 * load.active == operations_per_token(LLAMA)
    assert (load.kind, load.layers, load.width, load.experts) == ("k", 32, 4096, False)
    inner = sum(operations_by_format(LLAMA, assignments).values())
    assert operations_per_token(LLAMA) - inner == pytest.approx(2 * 128256 * 4096)
    assert load.active - load.head == pytest.approx(inner / 2)


def test_a_context_beyond_the_training_is_refused() -> None:
    with pytest.raises(UsageError, match="trained on 131072 tokens"):
        rows("rtx-3090-24gb", ask=Ask(200_000))
    with pytest.raises(UnknownNameError, match="q4_k_m"):
        plan.candidates(LLAMA, ["q4_k_x"])


def test_budget_ranks_by_speed_per_dollar() -> None:
    sold = [device for device in devices.built_in().values() if device.prices]
    found = plan.rows(LLAMA, sold, plan.candidates(LLAMA, ["q8_0"]), Ask(8192))
    offers = plan.by_budget(found, 900)
    assert offers and [per for *_, per in offers] == sorted((per for *_, per in offers), reverse=True)
    assert all(price.usd_low <= 900 and row.fits for row, price, _ in offers)
    assert {price.condition for _, price, _ in offers} == {"new", "used"}
    row, price, per = next(offer for offer in offers if offer[0].device.id == "rtx-3090-24gb")
    assert per == pytest.approx(row.forecast.decode.tokens_per_second / 700 * 1000)
    assert (price.usd_high, price.condition, price.date) == (900, "used", "2026")
    assert not plan.by_budget(found, 100)


def test_cost_of_a_million_tokens() -> None:
    power = Cost(watts=360, kwh=0.25)  # 0.09 dollars an hour
    assert power.per_million(100) == pytest.approx(0.09 / 3600 / 100 * 1e6)
    bought = Cost(price=946.08, years=3)  # 1e-5 dollars a second
    assert bought.per_million(50) == pytest.approx(1e-5 / 50 * 1e6)


def test_this_machine_is_predicted_from_its_kernels(machine) -> None:
    """With twice as fast kernels and memory, a model is twice as fast, except for the layers' time outside products."""
    assignments = assign(LLAMA, "q4_k_m")

    def predicted(factor: float):
        m = machine.measured
        rates = {
            name: dataclasses.replace(rate, decode=rate.decode * factor, prefill=rate.prefill * factor)
            for name, rate in m.kernels.items()
        }
        faster = dataclasses.replace(m, kernels=rates, read=m.read * factor, float32=m.float32 * factor)
        chosen = dataclasses.replace(machine, measured=faster)
        return forecast(chosen.device(), LLAMA, assignments, 0, machine=chosen)

    once, twice = predicted(1), predicted(2)
    assert twice.decode.tokens_per_second == pytest.approx(2 * once.decode.tokens_per_second, rel=0.02)
    assert twice.prefill.tokens_per_second == pytest.approx(2 * once.prefill.tokens_per_second, rel=0.02)
    assert once.decode.low < once.decode.tokens_per_second < once.decode.high
    row = plan.rows(LLAMA, [machine.device()], {"q4_k_m": assignments}, Ask(4096), machine)[0]
    assert row.memory == memory(LLAMA, "q4_k_m", 4096, engine="bitwright")
    assert row.forecast.multiplied_as == "int8"
    stored = plan.rows(LLAMA, [machine.device()], {"f16": assign(LLAMA, "f16")}, Ask(4096), machine)[0]
    assert stored.forecast.multiplied_as == "fp32"


def test_a_format_without_a_kernel_has_no_speed_and_a_reason(machine) -> None:
    kernels = {name: rate for name, rate in machine.measured.kernels.items() if name != "q6_k"}
    without = dataclasses.replace(machine, measured=dataclasses.replace(machine.measured, kernels=kernels))
    row = plan.rows(LLAMA, [machine.device()], {"q4_k_m": assign(LLAMA, "q4_k_m")}, Ask(4096), without)[0]
    assert row.fits and row.forecast is None and "no kernel for q6_k" in row.unknown


def test_models_for_a_device_are_sorted_largest_first() -> None:
    found = catalogue.models(CARD, 8192)
    sizes = [outline.parameters for outline, _ in found]
    assert sizes == sorted(sizes, reverse=True) and max(sizes) > 14e9
    for _, row in found:
        assert row.fits and row.recipe in (*catalogue.USEFUL, plan.STORED)
        assert row.forecast.decode.tokens_per_second >= catalogue.READING
    on_h100 = {outline.name: row.recipe for outline, row in catalogue.models(devices.get("h100-sxm-80gb"), 8192)}
    assert on_h100["gpt-oss 120B"] == plan.SHIPPED  # as published, in MXFP4
    assert len(on_h100) > len(found)


def test_only_active_experts_are_read() -> None:
    """A 30B mixture with 3B active decodes nearly as fast as a dense 3B and much faster than a 32B."""
    card = devices.get("rtx-3090-24gb")
    mixture, small, large = (
        plan.row(shape, card, "iq4_xs", assign(shape, "iq4_xs"), Ask(4096)).forecast.decode.tokens_per_second
        for shape in map(from_published, ("qwen3-30b-a3b", "qwen2.5-coder-3b", "qwen3-32b"))
    )
    assert large * 3 < mixture < small


def test_a_card_takes_the_layers_that_fit() -> None:
    big, small = rows("rtx-3060-12gb", "gtx-1080ti-11gb", recipes=("bf16",))
    assert big.verdict == small.verdict == "no"
    assert small.on_device < big.on_device < len(LLAMA.layers)
    per_layer = (big.memory.weights + big.memory.kv) / len(LLAMA.layers)
    assert 0.7 < big.on_device * per_layer / big.capacity < 1
    assert rows("rtx-3090-24gb")[0].on_device is None and rows("apple-m1-8c", recipes=("bf16",))[0].on_device is None


def test_the_label_in_the_file_is_its_quality(tmp_path: Path) -> None:
    made = tiny.tiny("llama", tmp_path / "plain.gguf")
    assert plan.quality(outline(tmp_path / "plain.gguf")) == "not measured"
    zeros = {name: 0 if kind == "uint32" else 0.0 for name, kind in label.NUMBERS.items()}
    numbers = zeros | {"kl_divergence.mean": 0.0123, "same_top1": 0.956}
    said = numbers | dict.fromkeys(label.HASHES, "")
    made.metadata |= {label.PREFIX + name: value for name, value in said.items()}
    found = outline(tiny.write(made, tmp_path / "labelled.gguf"))
    assert plan.quality(found) == "KL 0.0123 nats, same top 95.6% (label)"
