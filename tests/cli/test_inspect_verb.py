"""`bitwright inspect`, against known facts about the files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bitwright.cli import inspect_table


def test_json_keys_and_totals(bitwright, stories260k) -> None:
    outcome = bitwright("inspect", stories260k, "--json")
    found = outcome.json
    assert outcome.err == ""
    assert {"architecture", "parameters", "file_bytes", "bits_per_weight", "tensors"} <= set(found)
    assert found["architecture"] == "llama"
    assert found["file_bytes"] == stories260k.stat().st_size
    assert found["parameters"] == sum(int(np.prod(t["shape"])) for t in found["tensors"]) == 292800
    assert found["bits_per_weight"] == 32
    assert {"name": "token_embd.weight", "shape": [512, 64], "format": "float32", "bytes": 131072} in found["tensors"]
    assert sum(f["bytes"] for f in found["formats"]) == sum(t["bytes"] for t in found["tensors"])
    assert found["tokenizer"]["vocabulary"] == 512


def test_similar_layers_share_a_row_by_default(bitwright, stories260k) -> None:
    short, long = bitwright("inspect", stories260k).out, bitwright("inspect", stories260k, "--all").out
    assert "blk.0-4.attn_q.weight" in short and "blk.3.attn_q.weight" not in short
    assert "blk.3.attn_q.weight" in long


def test_runs_of_layers_are_joined() -> None:
    assert inspect_table.layers(f"blk.{n}.ffn_down.weight" for n in (0, 1, 2, 5, 8, 9)) == "0-2,5,8-9"


def test_a_quantized_model(bitwright, smollm2) -> None:
    found = bitwright("inspect", smollm2, "--json").json
    assert found["parameters"] == 134515008
    assert {f["format"]: f["tensors"] for f in found["formats"]} == {"q4_1": 210, "q8_0": 1, "float32": 61}
    assert "<|im_start|>" in found["chat_template"]
    json.dumps(found, allow_nan=False)


def test_a_vocabulary_without_tensors(bitwright, data) -> None:
    path = data / "tokenizers/ggml-vocab-gpt-2.gguf"
    assert bitwright("inspect", path, "--json").json["tensors"] == []
    assert "no tensors" in bitwright("inspect", path).out


def test_statistics_of_a_tensor(bitwright, stories260k) -> None:
    from bitwright.io import gguf

    values = gguf.open(stories260k).tensor("blk.0.attn_q.weight").dequantize()
    found = bitwright("inspect", stories260k, "--tensor", "blk.0.attn_q.weight", "--json").json
    assert found["minimum"] == pytest.approx(values.min()) and found["maximum"] == pytest.approx(values.max())
    assert sum(found["histogram"]["counts"]) == values.size == found["count"]
    row, column = found["outliers"][0]["index"]
    assert found["outliers"][0]["value"] == pytest.approx(values[row, column])
    assert abs(values[row, column] - values.mean()) == pytest.approx(np.abs(values - values.mean()).max(), rel=1e-5)
    text = bitwright("inspect", stories260k, "--tensor", "blk.0.attn_q.weight").out
    assert "kurtosis" in text and "histogram" in text and "largest outliers" in text


def test_a_mistyped_tensor_gets_a_suggestion(bitwright, stories260k) -> None:
    outcome = bitwright("inspect", stories260k, "--tensor", "blk.0.attn_q.wait")
    assert outcome.code == 2 and "did you mean blk.0.attn_q.weight" in outcome.err
