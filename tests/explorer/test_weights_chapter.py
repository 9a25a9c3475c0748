"""The chapter on the model's weights: it shows what `inspect --tensor` prints, and the model without a weight."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from watched_page import Watched, number

from bitwright import formats
from bitwright.engine.engine import load
from bitwright.explorer import recorded
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.subject import Subject
from bitwright.formats import QuantizedTensor
from bitwright.io import gguf
from bitwright.measure.values import summarize
from bitwright.views import removal
from bitwright.views.tensor import tensor
from bitwright.views.weights import matrices, values, weights

NAME = "blk.9.ffn_down.weight"


def test_each_control_changes_what_it_says(page: Watched, documents: Documents, smollm2: Path) -> None:
    shown = page.open(f"weights?tensor={NAME}")
    file = gguf.open(smollm2)
    summary = summarize(file.tensor(NAME).dequantize())
    found = tensor(file.tensors[NAME], summary)
    assert number(page.value("count")) == found["count"]
    assert number(page.value("deviation")) == pytest.approx(found["standard_deviation"], rel=1e-3)
    assert number(page.value("farthest")) == pytest.approx(found["outliers"][0]["value"], rel=1e-3)
    assert number(page.value("deviations")) == pytest.approx(found["outliers"][0]["deviations"], rel=5e-3)
    histogram = shown.locator("svg[aria-label^=Histogram]")
    assert "logarithmic" in histogram.get_attribute("aria-label")
    shown.get_by_role("radio", name="linear").check()
    assert "linear" in histogram.get_attribute("aria-label")
    loudness = np.sqrt((file.tensor(NAME).dequantize().astype(np.float64) ** 2).mean(axis=1))
    assert page.value("loudest") == str(loudness.argmax()) == "507"
    assert number(page.value("times")) == pytest.approx(
        loudness.max() / np.sort(loudness)[len(loudness) // 2], rel=5e-3
    )
    shown.get_by_role("radio", name="columns (inputs)").check()
    assert page.value("loudest") != "507"
    cases = documents["removal"]["cases"]
    for case in (cases[0], cases[-1]):
        shown.locator("[data-control=without]").select_option(case["label"])
        assert page.value("divergence") == f"{case['divergence']:.3f} nats"
        assert case["written"].strip().split("\n")[0] in page.value("written")
    dots = shown.locator("svg[aria-label^='For each of'] rect.surface")
    dots.click(position={"x": 5, "y": 150})
    shown.locator("figcaption", has_text="blk.0.").first.wait_for()
    shown.locator("[data-control=tensor]").select_option("blk.3.attn_q.weight")
    shown.locator("figcaption", has_text="blk.3.attn_q.weight").first.wait_for()


def test_a_few_weights_carry_the_model(documents: Documents) -> None:
    found = documents["removal"]
    cases = found["cases"]
    assert not found["unavailable"] and [w["tensor"] for w in cases[0]["weights"]] == [NAME]
    assert cases[0]["weights"][0]["index"] == [507, 200] and cases[0]["divergence"] > 1
    assert cases[-1]["divergence"] < 1e-3  # an ordinary weight
    assert [c["divergence"] for c in cases[:4]] == sorted((c["divergence"] for c in cases[:4]), reverse=True)


def test_all_matrices_of_any_model(stories260k: Path) -> None:
    file = gguf.open(stories260k)
    found = weights(file, 2)
    assert [t["name"] for t in found["tensors"]] == matrices(file)
    for t in found["tensors"]:
        whole = file.tensor(t["name"]).dequantize()
        summary = summarize(whole)
        assert t["standard_deviation"] == pytest.approx(summary.standard_deviation, rel=1e-4)
        assert abs(t["value"]) == np.abs(whole).max() and t["value"] == whole[tuple(t["index"])]
        assert t["deviations"] == pytest.approx((t["value"] - summary.mean) / summary.standard_deviation, rel=1e-4)
    detail = values(file, found["first"])
    assert len(detail["histogram"]["counts"]) == 81 and sum(detail["histogram"]["counts"]) == detail["count"]
    json.dumps([found, detail], allow_nan=False)


def test_a_weight_is_really_taken_out(stories260k: Path, tmp_path: Path) -> None:
    engine, file = load(stories260k, threads=1), gguf.open(stories260k)
    found = removal.removal(file, engine)
    first = found["cases"][0]
    name, index = first["weights"][0]["tensor"], tuple(first["weights"][0]["index"])
    ids = engine.tokenizer.encode(found["prompt"])
    expected = []
    for zeroed in (False, True):
        dense = file.tensor(name).dequantize()
        assert dense[index] == np.float32(first["weights"][0]["value"])
        dense[index] = 0 if zeroed else dense[index]
        session = engine.session()
        session.replace({name: QuantizedTensor(name, dense.shape, formats.get("float32"), dense.view(np.uint8))})
        logits = session.prefill(ids).astype(np.float64)
        expected.append(logits - np.logaddexp.reduce(logits))
    divergence = float((np.exp(expected[0]) * (expected[0] - expected[1])).sum())
    assert first["divergence"] == pytest.approx(divergence, rel=1e-6, abs=1e-9)
    float32 = formats.get("float32")
    gguf.write(tmp_path / "m.gguf", {}, [("v.weight", (8,), float32, lambda: float32.quantize(np.ones((1, 8))))])
    assert recorded.removed(Subject(tmp_path / "m.gguf", "m"))["unavailable"]
    assert weights(gguf.open(tmp_path / "m.gguf")) == {"tensors": [], "first": None}
