"""The chapter on parameters: the network answers as in Python, and the count ends at what `inspect` prints."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from watched_page import Watched, number

from bitwright import formats
from bitwright.explorer.exhibits import Documents
from bitwright.io import gguf
from bitwright.views.inspect import inspect
from bitwright.views.network import network
from bitwright.views.sizes import sizes

KINDS = ("vocabulary", "attention", "feed-forward", "other")


def trained() -> np.ndarray:
    """The network's parameters (17,): 8 and 4 weights, then 4 and 1 biases."""
    hidden, last = network()["hidden"], network()["output"]
    return np.array([*np.ravel(hidden["weights"]), *last["weights"], *hidden["bias"], last["bias"]])


def output(inputs: tuple[float, float], values: np.ndarray) -> float:
    """What a network with such parameters (17,) says."""
    neurons = np.maximum(0, values[:8].reshape(4, 2) @ inputs + values[12:16])
    return float(neurons @ values[8:12] + values[16])


def test_neurons(page: Watched) -> None:
    shown = page.open("parameters")
    shown.locator("[data-control=weight]").fill("1.8")
    assert number(page.value("line")) == 36 and page.value("line-error") == "32.0 °F"
    shown.locator("[data-control=bias]").fill("32")
    assert number(page.value("line")) == 68 and page.value("line-error") == "0.0 °F"
    shown.locator("[data-control=input]").fill("100")
    assert number(page.value("line")) == 212
    assert number(page.value("output")) == pytest.approx(output((0.3, 0.2), trained()), abs=1e-3)
    shown.locator("[data-control=warmth]").fill("1")
    shown.locator("[data-control=damp]").fill("-1")
    values = trained()
    assert number(page.value("output")) == pytest.approx(output((1, -1), values), abs=1e-3)
    assert page.value("answer") == "no" and page.value("agreement") == "100.0%"
    for _ in range(3):
        shown.locator("[data-control=p0]").press("PageDown")
    assert shown.locator("[data-control=p0]").inner_text() == "−0.05"
    values[0] = -0.05
    assert number(page.value("output")) == pytest.approx(output((1, -1), values), abs=1e-3)
    assert number(page.value("agreement").rstrip("%")) < 95
    shown.locator("[data-control=reset]").click()
    assert page.value("agreement") == "100.0%"
    values = trained()
    for n in range(17):
        shown.locator(f"[data-control=p{n}]").press("ArrowUp" if n % 3 else "ArrowDown")
        values[n] = math.floor(100 * values[n] + (1 if n % 3 else -1) + 0.5) / 100
        assert number(page.value("output")) == pytest.approx(output((1, -1), values), abs=1e-3)


def test_the_count_grows_to_that_of_the_model(page: Watched, documents: Documents, smollm2: Path) -> None:
    found = documents["sizes"]
    shown = page.open("parameters?width=8&layers=2")
    scale = lambda n: n if n == found["vocabulary"] else max(1, math.floor(n * 8 / found["width"] + 0.5))  # noqa: E731
    parts = [*found["outside"], *found["layers"][0], *found["layers"][1]]
    expected = sum(math.prod(map(scale, part["shape"])) for part in parts)
    assert number(page.value("parameters")) == expected
    assert number(page.value("times")) == pytest.approx(expected / 17, abs=1)
    bars = shown.locator("svg[aria-label^='Where the parameters are'] rect.fill")
    kinds = [sum(math.prod(map(scale, part["shape"])) for part in parts if part["kind"] == kind) for kind in KINDS]
    for width in (700, 1440):  # as often as the figure is drawn anew
        shown.set_viewport_size({"width": width, "height": 900})
        shown.wait_for_timeout(300)
        places = [(float(bar.get_attribute("x")), float(bar.get_attribute("width"))) for bar in bars.all()]
        whole = places[-1][0] + places[-1][1] + 1
        assert [x / whole for x, _ in places] == pytest.approx(np.cumsum([0, *kinds[:-1]]) / expected, abs=0.01)
    shown.locator("[data-control=layers]").fill("3")
    assert number(page.value("parameters")) > expected
    shown.locator("[data-control=width]").fill("0.9")
    assert number(page.value("parameters")) > 10 * expected
    shown.locator("[data-control=whole]").click()
    assert number(page.value("parameters")) == inspect(gguf.open(smollm2))["parameters"] == 134515008
    assert page.value("float32") == "538 MB" and page.value("small") == "75.7 MB"


def test_sizes_of_any_model(stories260k: Path, tmp_path: Path) -> None:
    found = sizes(gguf.open(stories260k))
    assert (found["width"], found["vocabulary"], len(found["layers"])) == (64, 512, 5)
    parts = [*found["outside"], *(part for layer in found["layers"] for part in layer)]
    assert sum(math.prod(part["shape"]) for part in parts) == found["parameters"]
    assert {part["kind"] for part in parts} == {"vocabulary", "attention", "feed-forward", "other"}
    float32 = formats.get("float32")
    gguf.write(tmp_path / "m.gguf", {}, [("v.weight", (8,), float32, lambda: float32.quantize(np.ones((1, 8))))])
    assert sizes(gguf.open(tmp_path / "m.gguf")) == {
        "parameters": 8, "width": None, "vocabulary": None, "layers": [], "outside": [{"kind": "other", "shape": [8]}]
    }  # fmt: skip
