"""`bitwright plan` ends with what to do."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("asked", "last"),
    [
        (["gpt-oss-120b", "--device", "gb10"], "dgx-spark-gb10: take mxfp4_moe, a file of 63.4 GB; 73.2 GB stay free"),
        (["llama-3.1-405b", "--device", "3090"], "rtx-3090-24gb: nothing fits; the smallest, iq2_m, takes"),
        (
            ["llama-3.3-70b", "--device", "3090"],
            "rtx-3090-24gb: take iq2_m, a file of 24.1 GB, with -c 2560 (8192 tokens",
        ),
        (["llama-3.1-8b", "--device", "7950x"], "ryzen-9-7950x: how much memory yours has is not known"),
        (["gpt-oss-20b", "--budget", "2000"], "most speed per dollar: tesla-p40-24gb from $150"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_plan_ends_with_a_recommendation(bitwright, asked, last) -> None:
    outcome = bitwright("plan", "--shape", *asked)
    assert outcome.code == 0 and outcome.out.splitlines()[-1].startswith(last)


def test_a_plan_that_uses_the_last_megabytes_says_so(bitwright) -> None:
    outcome = bitwright("plan", "--shape", "qwen3-14b", "--device", "3060", "--recipe", "q5_k_m")
    assert "  barely  " in outcome.out and "only 198.7 MB stay free at 8192 tokens, more with -c" in outcome.out
    assert "q5_k_m leaves 198.7 MB, less than a desktop or another program may take; -c " in outcome.err
