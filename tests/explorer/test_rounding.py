"""The chapter on rounding: its grids are those of the integer formats and of Q4_1, its network that of Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from watched_page import Watched, number

from bitwright import formats
from bitwright.views.network import network

RUN = """async ([kind, bits, rows]) => { const a = await import("./arithmetic.js");
    return rows.map((row) => {
        const values = Float32Array.from(row), grid = a.fit(kind, bits, Math.min(...values), Math.max(...values));
        const codes = Array.from(values, (v) => a.encodeOn(grid, v));
        return [codes, codes.map((c) => a.decodeOn(grid, c))]; }); }"""
VALUES = (-0.89, 0.16, 0.08, -0.13, 0.33, -0.54, 0.21, -0.02)
SIZE = 41  # cells of the map


GRIDS = [
    *((k, f"int{b}_{k[: -len('metric')]}_g8", b) for k in ("symmetric", "asymmetric") for b in range(2, 9)),
    ("minimum", "q4_1", 4),
    ("minimum", "q5_1", 5),
]


def test_grids(page: Watched) -> None:
    shown = page.open("rounding")
    for kind, name, bits in GRIDS:
        format = formats.get(name)
        random = np.random.default_rng(bits)
        rows = random.standard_normal((60, format.block_size)) * 10.0 ** random.uniform(-3, 2, (60, 1))
        rows[:20] += random.standard_normal((20, 1))
        rows[-1] = 0
        rows = rows.astype(np.float32)
        found = shown.evaluate(RUN, [kind, bits, rows.tolist()])
        packed = format.quantize(rows)
        codes, scales = format.unpack(packed)
        zero = scales[1] if kind != "minimum" else 0
        np.testing.assert_array_equal([codes for codes, _ in found], codes + zero, name)
        np.testing.assert_array_equal([read for _, read in found], format.dequantize(packed), name)


def lost(name: str, values: np.ndarray) -> float:
    """The error of values (1, 8) in a format, in percent of their norm."""
    format = formats.get(name)
    error = (format.dequantize(format.quantize(values)) - values).astype(float)
    return float(100 * np.linalg.norm(error) / np.linalg.norm(values.astype(float)))


def drag(shown: Any, control: str, value: float) -> None:
    """Set a slider."""
    shown.locator(f"[data-control={control}]").fill(str(value))


def test_each_control_changes_what_it_says(page: Watched) -> None:
    shown = page.open("rounding")
    drag(shown, "number", 0.3)
    shown.get_by_text("The numbers", exact=True).click()
    line = shown.locator("tr", has_text="float4_e2m1fn").inner_text()
    assert line.split() == ["float4_e2m1fn", "0.5", "0.2", "66.7%"]
    assert page.value("offset") == "code 8" and page.value("zero") == "0"
    values = np.array([VALUES], np.float32)
    assert number(page.value("grid-error")) == pytest.approx(lost("int4_sym_g8", values), abs=0.006)
    drag(shown, "shift", 0.8)
    values = (np.rint(100 * (np.array([VALUES]) + 0.8)) / 100).astype(np.float32)
    assert number(page.value("grid-error")) == pytest.approx(lost("int4_sym_g8", values), abs=0.006)
    shown.locator("[data-control=grid] label", has_text="asymmetric").click()
    assert number(page.value("grid-error")) == pytest.approx(lost("int4_asym_g8", values), abs=0.006)
    shown.locator("[data-control=grid] label", has_text="minimum").click()
    assert page.value("offset").startswith("−0.0") and page.value("zero") != "0"
    shown.locator("[data-control=grid] label", has_text="asymmetric").click()
    drag(shown, "bits", 6)
    assert number(page.value("grid-error")) == pytest.approx(lost("int6_asym_g8", values), abs=0.006)
    for n in range(8):
        shown.locator(f"[data-control=weight-{n}]").press("PageDown" if n % 2 else "ArrowRight")
        values[0, n] = np.float32(round(float(values[0, n]) + (-0.1 if n % 2 else 0.01), 2))
        assert number(shown.locator(f"[data-control=weight-{n}]").inner_text()) == pytest.approx(values[0, n])
        assert number(page.value("grid-error")) == pytest.approx(lost("int6_asym_g8", values), abs=0.006)


def test_the_lines_take_clicks_and_drags(page: Watched) -> None:
    shown = page.open("rounding")
    lines = shown.locator("svg[aria-label^='Number lines'] rect.surface")
    box = lines.bounding_box()
    lines.click(position={"x": 0.75 * box["width"], "y": 100})  # of -2 to 2
    assert number(shown.locator("[data-control=value]").inner_text()) == pytest.approx(1, abs=0.02)
    shown.mouse.down()
    shown.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 100)
    shown.mouse.up()
    assert number(shown.locator("[data-control=value]").inner_text()) == pytest.approx(-1, abs=0.02)
    shown.locator("[data-control=value]").press("Home")
    assert shown.locator("[data-control=number]").input_value() == "-2"


def answers(hidden: np.ndarray, output: np.ndarray) -> np.ndarray:
    """What the network says on the map (cells,), with such weights."""
    given = network()
    at = (2 * np.arange(SIZE) + 1) / SIZE - 1
    inputs = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    neurons = np.maximum(0, inputs @ hidden.T + given["hidden"]["bias"])
    return np.asarray(neurons @ output + given["output"]["bias"] > 0)


def stored(weights: np.ndarray, way: str) -> np.ndarray:
    """float32 weights (neurons, inputs), stored in one of the page's ways."""
    if way.startswith("int"):
        format = formats.get(f"{way[:4]}_sym_g8")
        scales = format.fit(weights)
        return format.decode(format.round(weights, scales), scales)
    format = formats.get({"float8": "float8_e4m3fn", "float6": "float6_e2m3fn"}.get(way, "float4_e2m1fn"))
    scale = np.float32(1)
    if way.endswith("scaled"):
        scale = (np.abs(weights).max(1, keepdims=True) / np.float32(6)).astype(np.float16).astype(np.float32)
    codes = format.round((weights / scale).reshape(-1, 1), ())
    return scale * format.decode(codes, ()).reshape(weights.shape)


def test_the_network_breaks_and_is_repaired(page: Watched) -> None:
    shown = page.open("rounding")
    hidden = np.array(network()["hidden"]["weights"], np.float32)
    output = np.array([network()["output"]["weights"]], np.float32)
    original = answers(np.array(network()["hidden"]["weights"]), np.array(network()["output"]["weights"]))
    shares = {}
    for way in ("float8", "float6", "float4", "float4-scaled", "int4-scaled", "int2-scaled"):
        shown.locator("[data-control=store]").select_option(way)
        rounded = answers(stored(hidden, way).astype(float), stored(output, way)[0].astype(float))
        shares[way] = float((rounded == original).mean())
        assert page.value("agreement") == f"{100 * shares[way]:.1f}%", way
    assert shares["float4"] < 0.8 and shares["float4-scaled"] > 0.95 and shares["int4-scaled"] > 0.98
    shown.locator("[data-control=store]").select_option("float32")
    assert page.value("agreement") == "100.0%"
    said = shown.locator("svg[aria-label^='A network']")
    assert "yes" in str(said.get_attribute("aria-label"))
    drag(shown, "warmth", 1)
    drag(shown, "damp", -1)
    assert "no" in str(said.get_attribute("aria-label")).rpartition(":")[2]
