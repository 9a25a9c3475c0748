"""`bitwright compare`, and its report."""

from __future__ import annotations

import json

import pytest
from cli.support import check_page

pytestmark = pytest.mark.usefixtures("cache")


def test_compare(bitwright, quantized, stories260k, text, tmp_path) -> None:
    command = [
        "compare",
        quantized / "q4_0.gguf",
        quantized / "q8_0.gguf",
        "--reference",
        stories260k,
        "-f",
        text,
        "-c",
        "128",
    ]
    found = bitwright(*command, "--json", "-o", tmp_path / "r.json").json
    written = json.loads((tmp_path / "r.json").read_text())
    for model in written["models"]:
        if model["is_reference"]:
            continue
        tokens = model.pop("heat")["tokens"]
        assert " " in "".join(token["text"] for token in tokens) and len(tokens[0]["candidate"]) == 5
    assert written == found
    assert [m["model"]["name"] for m in found["models"]] == [
        stories260k.name,
        "q8_0.gguf",
        "q4_0.gguf",
    ]
    original = found["models"][0]
    assert original["is_reference"] and original["kl_divergence"]["high"] == 0 and original["same_top1"] == 1
    assert original["bits_per_byte"]["mean"] == pytest.approx(found["models"][1]["bits_per_byte"]["mean"], rel=0.01)
    pair = found["pairs"][-1]
    assert pair["verdict"] == "better" and pair["difference"]["high"] < 0
    assert (
        found["front"]["bytes"] == [stories260k.name, "q8_0.gguf", "q4_0.gguf"] and found["measure"] == "KL divergence"
    )
    assert all(0 < m["slowest"] <= m["tokens_per_second"] <= m["fastest"] for m in found["models"])
    outcome = bitwright(*command, "-o", tmp_path / "r.html")
    assert outcome.out.startswith("q8_0.gguf is the best of 2, hardly ")
    assert "q8_0.gguf is better than q4_0.gguf by 0." in outcome.out
    row = next(line for line in outcome.out.splitlines() if line.startswith(stories260k.name))
    assert "the reference" in row and " to " in row
    page = check_page((tmp_path / "r.html").read_text())
    assert page.title == "Models compared" and page.report["pairs"] == found["pairs"]
    assert [len(m["heat"]["tokens"]) > 1 for m in page.report["models"] if not m["is_reference"]] == [True, True]


def test_models_with_different_tokenizers_are_compared_by_bytes(
    bitwright, quantized, stories260k, smollm2, data
) -> None:
    text = data / "text/tinystories/tiny.utf8"
    command = ["compare", quantized / "q4_0.gguf", smollm2, "--reference", stories260k, "-f", text, "-c", "32"]
    found = bitwright(*command, "--chunks", "20", "--json").json
    assert found["measure"] == "bits per byte"
    better, *others = found["models"]
    worse = next(m for m in others if not m["is_reference"])
    assert len(others) == 2 and better["model"]["name"].startswith("SmolLM2") and "kl_divergence" not in better
    assert better["bits_per_byte"]["mean"] < worse["bits_per_byte"]["mean"] and "kl_divergence" in worse


def test_the_one_float_model_is_the_reference(bitwright, quantized, stories260k, text) -> None:
    few = ["-f", text, "-c", "16", "--chunks", "4"]  # a context smaller than what is timed otherwise
    outcome = bitwright("compare", quantized / "q4_0.gguf", stories260k, *few, "--json")
    assert f"comparing with {stories260k}, the only one in floats" in outcome.err
    assert [m["is_reference"] for m in outcome.json["models"]] == [True, False]


def test_compare_needs_a_reference(bitwright, quantized, stories260k, smollm2, text) -> None:
    for models in ([quantized / "q4_0.gguf"], [stories260k], [stories260k, smollm2], [quantized / "q4_0.gguf"] * 2):
        outcome = bitwright("compare", *models, "-f", text)
        assert outcome.code == 2 and "--reference REF" in outcome.err and outcome.err.count("\n") == 1
    assert ".kld" in bitwright("compare", quantized / "q4_0.gguf", "-f", text, "--reference", "x.kld").err
