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
        tokens = model.pop("heat")["tokens"]
        assert " " in "".join(token["text"] for token in tokens) and len(tokens[0]["candidate"]) == 5
    assert written == found
    assert [m["model"]["name"] for m in found["models"]] == ["q8_0.gguf", "q4_0.gguf"]
    (pair,) = found["pairs"]
    assert pair["verdict"] == "better" and pair["difference"]["high"] < 0
    assert found["front"]["bytes"] == ["q8_0.gguf", "q4_0.gguf"] and found["measure"] == "KL divergence"
    assert all(m["tokens_per_second"] > 0 for m in found["models"])
    outcome = bitwright(*command, "-o", tmp_path / "r.html")
    assert outcome.out.startswith("q8_0.gguf is the best of 2 on this text: hardly ")
    assert "q8_0.gguf is better than q4_0.gguf by 0." in outcome.out
    page = check_page((tmp_path / "r.html").read_text())
    assert "Quality against bytes" in page.headings and "Pair by pair" in page.headings
    assert {"Token by token: q8_0.gguf", "Token by token: q4_0.gguf"} < set(page.headings)


def test_models_with_different_tokenizers_are_compared_by_bytes(
    bitwright, quantized, stories260k, smollm2, shared_data
) -> None:
    text = shared_data / "text/tinystories/tiny.utf8"
    command = ["compare", quantized / "q4_0.gguf", smollm2, "--reference", stories260k, "-f", text, "-c", "32"]
    found = bitwright(*command, "--chunks", "20", "--json").json
    assert found["measure"] == "bits per byte"
    better, worse = found["models"]
    assert better["model"]["name"].startswith("SmolLM2") and "kl_divergence" not in better
    assert better["bits_per_byte"]["mean"] < worse["bits_per_byte"]["mean"] and "kl_divergence" in worse


def test_compare_needs_a_reference(bitwright, quantized, text) -> None:
    assert "--reference REF" in bitwright("compare", quantized / "q4_0.gguf", "-f", text).err
    assert ".kld" in bitwright("compare", quantized / "q4_0.gguf", "-f", text, "--reference", "x.kld").err
