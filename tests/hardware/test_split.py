"""A model split over devices: nothing is lost or held twice, and no device holds more than it can."""

from __future__ import annotations

import pytest

from bitwright.hardware.memory import DRIVER, memory
from bitwright.hardware.split import Split, split, split_experts
from bitwright.hardware.weights import assign, bytes_per_token
from bitwright.model.architectures.outline import Outline, outline

GIB = 1 << 30


def shares_add_up(found: Split, model: Outline, recipe: str, context: int) -> None:
    everything = [found.host, *found.devices]
    whole = memory(model, recipe, context)
    copied = next(a.bytes for a in assign(model, recipe) if a.tensor == "token_embd.weight")
    held_twice = copied if model.tied and not found.host.output else 0
    assert sum(share.memory.weights for share in everything) == whole.weights + held_twice
    assert sum(share.memory.kv for share in everything) == whole.kv
    assert sum(share.read for share in everything) == bytes_per_token(model, assign(model, recipe))
    assert [index for share in everything for index in share.layers] == list(range(len(model.layers)))
    assert sum(share.output for share in everything) == 1
    assert all(share.memory.total <= (share.budget or 0) for share in found.devices)


@pytest.mark.parametrize("shape", ["llama-3.1-8b", "gemma-3-12b", "gpt-oss-20b", "qwen3.5-27b"])
@pytest.mark.parametrize("budgets", [[], [1], [4], [6, 6], [2, 1, 3], [80], [80, 80]])
def test_shares_add_up(shape: str, budgets: list[int]) -> None:
    model = outline(shape)
    found = split(model, "q4_k_m", [GIB * budget for budget in budgets], 8192)
    shares_add_up(found, model, "q4_k_m", 8192)
    assert found.whole or sum(budgets) < 80
    assert found.offloaded or sum(budgets) < 4


def test_without_devices_everything_is_in_system_memory() -> None:
    model = outline("llama-3.1-8b")
    assert split(model, "q4_k_m", [], 4096).host.memory == memory(model, "q4_k_m", 4096)


def test_one_more_layer_would_not_fit() -> None:
    """24 GB hold part of a 70B in Q4_K_M: the output, and as many of the last layers as fit."""
    model = outline("llama-3.3-70b")
    found = split(model, "q4_k_m", [24 * GIB], 4096)
    (device,) = found.devices
    assert 40 <= found.offloaded < 80 and device.layers.stop == 80 and device.output
    layer = sum(a.bytes for a in assign(model, "q4_k_m") if f"blk.{device.layers.start - 1}." in a.tensor)
    cache = 4096 * 4096  # 8 heads of 128 keys and values, two bytes each
    assert device.memory.total <= 24 * GIB < device.memory.total + layer + cache


def test_a_device_holds_no_embedding_but_has_a_drivers_overhead() -> None:
    model = outline("llama-3.1-8b")
    found = split(model, "q4_k_m", [80 * GIB], 4096)
    sizes = {a.tensor: a.bytes for a in assign(model, "q4_k_m")}
    assert found.host.memory.weights == sizes["token_embd.weight"]
    assert found.devices[0].memory.weights == sum(sizes.values()) - sizes["token_embd.weight"]
    assert found.devices[0].memory.overhead == DRIVER and found.host.memory.compute == 0


def test_a_device_without_room_takes_nothing() -> None:
    found = split(outline("llama-3.1-8b"), "q4_k_m", [100 << 20, 12 * GIB], 4096)
    assert found.devices[0].memory.total == 0 and found.whole


@pytest.mark.parametrize("shape", ["qwen3-30b-a3b", "gpt-oss-20b", "deepseek-v3", "gemma-4-26b-a4b"])
@pytest.mark.parametrize("budget", [8, 12, 24, 48])
def test_the_fewest_experts_stay_with_the_computer(shape: str, budget: int) -> None:
    """Nothing is lost or held twice but the embedding's copy, and with one layer's experts more, the device is full."""
    model = outline(shape)
    assignments = assign(model, "q4_k_m")
    found = split_experts(model, assignments, budget * GIB, 8192)
    if found is None:  # DeepSeek V3's attention and shared experts alone are larger
        assert shape == "deepseek-v3" and budget < 24
        return
    sizes = {a.tensor: a.bytes for a in assignments if model.share_read(a.tensor) or "token_embd" in a.tensor}
    experts = [sum(size for name, size in sizes.items() if name.startswith(f"blk.{i}.") and "_exps" in name)
               for i in range(len(model.layers))]  # fmt: skip
    copied = sizes["token_embd.weight"] if model.tied else 0
    assert found.host == sum(experts[: found.layers]) + sizes["token_embd.weight"]
    assert found.device.weights + found.host == sum(sizes.values()) + copied
    fits = found.device.total <= budget * GIB
    assert fits and (found.layers == 1 or found.device.total + experts[found.layers - 1] > budget * GIB)


def test_a_dense_model_has_no_experts_to_move() -> None:
    assert split_experts(outline("llama-3.1-8b"), "q4_k_m", 4 * GIB, 8192) is None
