"""`bitwright plan` ends with what to do."""

from __future__ import annotations

import pytest

from bitwright.model.architectures import published


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


def test_a_file_is_taken_as_stored(bitwright, quantized) -> None:
    last = bitwright("plan", quantized / "q4_0.gguf", "--device", "3090", "-c", 256).out.splitlines()[-1]
    assert last.startswith("rtx-3090-24gb: take it as stored, a file of ") and "e+" not in last


def test_another_format_than_the_makers_is_advised_against(bitwright) -> None:
    outcome = bitwright("plan", "--shape", "gpt-oss-20b", "--device", "3090", "--recipe", "q4_k_m")
    assert "MXFP4 experts: mxfp4_moe is that, 12.1 GB; q4_k_m would be made from it and lose more" in outcome.err
    assert "MXFP4" not in bitwright("plan", "--shape", "gpt-oss-20b", "--device", "3090").err


def test_models_end_with_the_largest(bitwright, monkeypatch) -> None:
    few = {id: published.models()[id] for id in ("qwen3-8b", "qwen3-14b", "smollm2-135m")}
    monkeypatch.setattr(published, "models", lambda: few)
    lines = bitwright("plan", "--models", "--device", "3060").out.splitlines()
    assert "rtx-3060-12gb: the largest is Qwen3 14B, in q4_k_m, about 27 tokens/s" in lines
    lines = bitwright("plan", "--models", "--device", "3060", "--memory", "0.1").out.splitlines()
    assert any(line.startswith("rtx-3060-12gb: none of the models in the list fits") for line in lines)


def test_a_plan_that_uses_the_last_megabytes_says_so(bitwright) -> None:
    outcome = bitwright("plan", "--shape", "qwen3-14b", "--device", "3060", "--recipe", "q5_k_m")
    assert "  barely  " in outcome.out and "only 198.7 MB stay free at 8192 tokens, more with -c" in outcome.out
    assert "q5_k_m leaves 198.7 MB, less than a desktop or another program may take; -c " in outcome.err
