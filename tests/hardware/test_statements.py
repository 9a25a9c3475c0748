"""Commands reproduce statements and questions from practice.

"27B at FP16 is 54 GB, nobody's running that; at Q4_K_M it needs 16; a used 3090 has 24 GB and goes for about $900";
14B at Q4 is about 10 GB and runs on a 12 GB card for under $270; how an M1 Max and an H100 multiply what they read.
"""

from __future__ import annotations

import contextlib
import io
import json

import pytest

from bitwright.cli import exit_code

SHAPE = ("--shape", "qwen3.5-27b")


def rows(*arguments: str) -> list[dict]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert exit_code(["plan", *arguments, "--json"]) == 0
    return json.loads(out.getvalue())["rows"]


@pytest.fixture(scope="module")
def on_3090() -> dict[str, dict]:
    found = rows(*SHAPE, "--device", "rtx-3090-24gb", "-c", "8192")
    return {row["recipe"]: row for row in found}


def test_27b_in_16_bits_is_54_gb_and_nobody_runs_that(on_3090) -> None:
    row = on_3090["f16"]
    assert round(row["weights_bytes"] / 1e9) == 54
    assert not row["fits"] and row["verdict"] == "no" and row["decode"] is None


def test_at_q4_k_m_it_needs_16(on_3090) -> None:
    row = on_3090["q4_k_m"]
    assert int(row["weights_bytes"] / 1e9) == 16
    assert row["fits"] and row["longest_context"] > 8192


def test_a_used_3090_has_24_gb_and_goes_for_about_900_dollars(on_3090) -> None:
    row = on_3090["q4_k_m"]
    assert round(row["capacity_bytes"] / 2**30) == 24
    price = row["price"]
    assert price["condition"] == "used" and price["usd_high"] == 900 and price["date"] and price["source"]
    offers = rows(*SHAPE, "--budget", "900")
    assert "rtx-3090-24gb" in [offer["device"] for offer in offers]
    assert all(offer["fits"] and offer["price"]["usd_low"] <= 900 for offer in offers)


def test_14b_at_q4_is_about_10_gb_on_a_12_gb_card_for_under_270_dollars() -> None:
    (row,) = rows("--shape", "qwen3-14b", "--device", "rtx-3060-12gb", "-c", "4096", "--recipe", "q4_k_m")
    assert round(row["total_bytes"] / 1e9) == 10 and row["fits"]
    assert round(row["capacity_bytes"] / 2**30) == 12 and row["price"]["usd_high"] <= 270


def test_an_m1_max_multiplies_in_fp16_and_an_h100_in_int8_what_is_stored_in_4_bits() -> None:
    found = rows(*SHAPE, "--device", "apple-m1-max-32c", "--device", "h100-sxm-80gb", "--recipe", "q4_k_m")
    mac, h100 = found
    assert (mac["multiplied_as"], h100["multiplied_as"]) == ("fp16", "int8")
    assert mac["fits"] and h100["fits"]
    # Bytes limit decode and arithmetic limits prefill: 8 times the bandwidth, 90 times the FP16 rate.
    decode, prefill = (
        h100[what]["tokens_per_second"] / mac[what]["tokens_per_second"] for what in ("decode", "prefill")
    )
    assert 3 < decode < 8.4 and prefill > 15
