"""The views of machines, devices and plans keep their keys."""

from __future__ import annotations

import pytest
from views.keys import check

from bitwright.hardware import catalogue, devices, plan
from bitwright.hardware.execution import execution_path
from bitwright.hardware.machine import Machine
from bitwright.hardware.plan import Ask, Cost
from bitwright.model.architectures import published
from bitwright.model.architectures.outline import from_published
from bitwright.views import budget as budgets
from bitwright.views import devices as device_view
from bitwright.views import execution, models
from bitwright.views import machine as machines
from bitwright.views import plan as plans

SPEED = "tokens_per_second low high"
ROW = "device recipe bits_per_weight context file_bytes file_bytes_exact weights_bytes kv_bytes compute_bytes " \
      "overhead_bytes total_bytes capacity_bytes left_bytes fits tight verdict longest_context " \
      "context_with_headroom layers_on_device experts_on_host no_speed_because multiplied_as quality"  # fmt: skip
PRICE = "usd usd_low usd_high memory_gib condition date source"
MODEL = "name architecture parameters active_parameters context source standing"
EXECUTION = "device format stored bits_per_weight loaded converted_to multiplied_as accumulated_in scaled " \
            "headline path chip_could instruction unit peak_operations_per_second alternatives remarks " \
            "decode_note prefill_note break_even_tokens sources"  # fmt: skip
USE = "engine phase multiplied_as unit what uses_chip standing where"


def test_machine(machine: Machine) -> None:
    found = machines.machine(machine)
    check(
        found,
        "name cpu cores_physical cores_logical cores_usable cpu_quota features last_cache_bytes memory_total "
        "memory_available memory_limit nodes memory_bytes gpus tiers measured tier threads",
        {"limits": "read_gb_s read_one_core_gb_s int8_gop_s bf16_gflop_s fp32_gflop_s"},
        {"formats": "format bits_per_weight decode_gb_s decode_share_of_read prefill_gop_s"},
    )
    bits = [row["bits_per_weight"] for row in found["formats"]]
    assert bits == sorted(bits)


def test_execution_on_one_device_and_on_several() -> None:
    one, other = (execution_path("q4_k", devices.get(name)) for name in ("h100-sxm-80gb", "apple-m1-max-32c"))
    keys = {"engine_uses": USE, "verified": "way peak bandwidth"}
    check(execution.execution([one]), EXECUTION, keys)
    check(execution.execution([one, other]), "format", {"devices": EXECUTION}, {"devices": keys})


def test_devices() -> None:
    found = device_view.devices(devices.devices().values())
    check(found, {"devices": "id name vendor kind year memory_bytes bandwidth_bytes_per_second bandwidth_standing "
                             "prices sources compute"})  # fmt: skip
    (own,) = (device for device in found["devices"] if device["id"] == "rtx-3090-24gb")
    check(own, {"prices": PRICE, "compute": {"fp16": "native via unit instruction peak_per_second standing"}})


def test_plan() -> None:
    outline, ask = from_published("llama-3.1-8b"), Ask(4096)
    formats = plan.candidates(outline, ["q8_0", "q4_k_m"])
    rows = plan.rows(outline, [devices.get("rtx-3090-24gb")], formats, ask)
    keys = {
        "model": MODEL,
        "rows": {"decode": SPEED, "prefill": SPEED, "price": PRICE},
        "recommended": "device recipe context",
    }
    check(plans.plan(outline, rows), keys, {"rows": ROW})
    check(plans.plan(outline, rows, Cost(watts=300, kwh=0.3)), keys, {"rows": ROW + " usd_per_million_tokens"})


def test_budget_and_models(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: published.models()[name] for name in ("llama-3.1-8b", "qwen3-14b")}
    monkeypatch.setattr(published, "models", lambda: few)  # all of them take seconds
    outline, device = from_published("llama-3.1-8b"), devices.get("rtx-3090-24gb")
    rows = plan.rows(outline, [device], plan.candidates(outline, ["q4_k_m"]), Ask(4096))
    found = budgets.budget(outline, 900, plan.by_budget(rows, 900), 53)
    check(found, "budget_usd devices_without_price", {"model": MODEL, "rows": ROW + " tokens_per_second_per_1000_usd"})
    check(found, {"rows": {"price": PRICE, "decode": SPEED}})
    check(models.models(catalogue.models(device, 4096)), {"rows": ROW}, {"rows": {"model": MODEL, "decode": SPEED}})
