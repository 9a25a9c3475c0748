"""The speed model: its accuracy on devices left out of the fit, and that they are really left out."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright.errors import UsageError
from bitwright.hardware import devices, execution, forecast, schema, speed
from bitwright.hardware.weights import assign
from bitwright.model.architectures.outline import from_published

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import fit_speed
import speed_rows

BUILT_IN = devices.built_in()
KINDS = fit_speed.KINDS
LLAMA_8B = speed.Load(read=4.6e9, stored=4.9e9, active=7.5e9, head=0.5e9, layers=32, width=4096, kind="k")


@pytest.fixture(scope="module")
def judged():
    return {what: fit_speed.judge(what, speed_rows.cases(what)[0]) for what in ("decode", "prefill")}


@pytest.mark.parametrize("what", ["decode", "prefill"])
def test_the_written_numbers_are_those_of_the_fit(what: str) -> None:
    written, found = json.loads(fit_speed.DATA.read_text())[what], fit_speed.fit(what, speed_rows.cases(what)[0])
    for part, values in (("numbers", found.numbers), ("families", found.families)):
        assert values and {name: float(f"{values[name]:.3g}") for name in values}.items() <= written[part].items()


@pytest.mark.slow  # a hundred fits
def test_the_written_model_is_the_fit(judged) -> None:
    left_out = speed_rows.cases("decode")[1]
    assert json.loads(fit_speed.DATA.read_text()) == fit_speed.data(judged)
    assert fit_speed.document(judged, left_out) == fit_speed.JUDGEMENT.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("what", "floor"), [("decode", 0.15), ("prefill", 0.30)])
def test_errors_and_intervals_on_left_out_devices(judged, what: str, floor: float) -> None:
    summary = judged[what].summary
    assert summary["rows"] > 200 and summary["devices"] > 45
    assert summary["median error"] <= floor
    assert summary["median error, the whole architecture left out"] <= floor
    assert 0.85 <= summary["in the interval, of rows"] <= 0.95
    assert 0.85 <= summary["in the interval, of devices"] <= 0.95


@pytest.mark.parametrize("what", ["decode", "prefill"])
def test_the_fit_does_not_see_a_left_out_device(what: str) -> None:
    """If its rows were a thousand times slower, its prediction and interval would not change."""
    rows = [case for case in speed_rows.cases(what)[0] if case.backend in {"cuda", "vulkan"}]
    mine = [index for index, case in enumerate(rows) if case.device.id == "rtx-4090-24gb"]
    slow = [case._replace(seconds=case.seconds * 1000) if index in mine else case for index, case in enumerate(rows)]

    def predicted(rows: list[speed_rows.Case]) -> np.ndarray:
        errors = fit_speed.held_out(what, rows, lambda case: case.device.id)
        return np.array([math.log(rows[index].seconds) + errors[index] for index in mine])

    assert len(mine) > 5
    np.testing.assert_allclose(predicted(slow), predicted(rows), rtol=1e-12)

    def factor(rows: list[speed_rows.Case]) -> float:
        others = [case for index, case in enumerate(rows) if index not in mine]
        return fit_speed.factors(others, fit_speed.held_out(what, others, lambda case: case.device.arch))["cuda"]

    assert factor(slow) == factor(rows)


def test_the_fit_recovers_the_numbers_behind_made_up_rows() -> None:
    rows = [case for case in speed_rows.cases("decode")[0] if case.backend == "metal"]
    truth = {"bytes metal": 1.3, "layers metal": 80.0, "unpack metal block": 3.0, "unpack metal k": 5.0}
    truth |= {"cache": 1.5, "experts metal": 40.0, "early metal": 2.0}
    made = [case._replace(seconds=speed.seconds(case.terms, truth)) for case in rows]
    found = fit_speed.fit("decode", made)
    wrong = [found.seconds("decode", case) / case.seconds - 1 for case in made]
    assert np.median(np.abs(wrong)) < 0.01
    assert found.numbers["bytes metal"] == pytest.approx(1.3, rel=0.03)


def test_unused_rows_have_a_known_reason() -> None:
    file = json.loads(speed_rows.FILE.read_text())
    found, left_out = speed_rows.cases("decode")
    used = {id(case.row) for case in found}
    rows_without_decode = len(file["rows"]) - sum(left_out.values()) - len(used)
    assert 0 <= rows_without_decode <= 3  # rows with only a prefill speed
    assert all(case.row["quality"] == "community" for case in found)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_device_has_a_prediction(name: str) -> None:
    device = BUILT_IN[name]
    for kind, experts in itertools.product(KINDS, (False, True)):
        load = dataclasses.replace(LLAMA_8B, kind=kind, experts=experts)
        for estimate in (speed.decode(device, load, 1e8), speed.prefill(device, load)):
            assert 0 < estimate.low < estimate.tokens_per_second < estimate.high < 1e6
        assert speed.decode(device, load).tokens_per_second < device.bandwidth / load.read  # type: ignore[operator]


@pytest.mark.parametrize("name", ["apple-m1-max-32c", "h100-sxm-80gb", "rtx-3090-24gb", "ryzen-9-7950x"])
def test_more_work_is_slower_and_more_bandwidth_faster(name: str) -> None:
    device = BUILT_IN[name]
    base = speed.decode(device, LLAMA_8B).tokens_per_second
    assert speed.decode(device, LLAMA_8B, cached=1e9).tokens_per_second < base
    assert speed.decode(device, dataclasses.replace(LLAMA_8B, read=9e9)).tokens_per_second < base
    wider = dataclasses.replace(device, bandwidth=device.bandwidth * 1.2)  # type: ignore[operator]
    assert speed.decode(wider, LLAMA_8B).tokens_per_second > base
    short, long = (speed.prefill(device, LLAMA_8B, tokens).tokens_per_second for tokens in (512, 8192))
    assert long < short


@pytest.mark.parametrize(
    ("name", "kind", "format"),
    [
        ("h100-sxm-80gb", "k", "int8"),
        ("h100-sxm-80gb", "float", "fp16"),
        ("h100-sxm-80gb", "fp4", "int8"),
        ("b200-180gb", "fp4", "int8"),
        ("rtx-5090-32gb", "fp4", "mxfp4"),
        ("tesla-v100-16gb", "block", "fp16"),
        ("tesla-p40-24gb", "block", "int8"),
        ("apple-m1-max-32c", "block", "fp16"),
        ("ryzen-9-7950x", "block", "int8"),
    ],
)
def test_the_operands_of_prefill(name: str, kind: speed.Kind, format: str) -> None:
    device = BUILT_IN[name]
    assert speed.multiplied_as(device, kind, speed.backend_of(device)) == format


def test_fp16_sums_are_twice_as_fast_where_a_card_halves_fp32_sums() -> None:
    assert speed.peak(BUILT_IN["rtx-4090-24gb"], "fp16", "cuda") == pytest.approx(330.3e12)
    assert speed.peak(BUILT_IN["a100-80gb"], "fp16", "cuda") == pytest.approx(311.87e12)


def test_an_unknown_bandwidth_is_reported() -> None:
    device = dataclasses.replace(BUILT_IN["rtx-3090-24gb"], id="mine", bandwidth=None)
    with pytest.raises(UsageError, match="mine: its bandwidth is not known"):
        speed.decode(device, LLAMA_8B)


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("q4_k_m", "k"),
        ("Q4_0", "block"),
        ("IQ4_NL", "block"),
        ("IQ4_XS", "k"),
        ("iq2_xxs", "grid"),
        ("BF16", "float"),
        ("float16", "float"),
    ],
)
def test_kinds(format: str, kind: str) -> None:
    assert speed.kind_of(format) == kind
    assert speed.kind_of("MXFP4_MOE") == "fp4"


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_operands_agree_with_explain(name: str) -> None:
    engines = {"cuda": "CUDA", "metal": "Metal", "rocm": "HIP", "vulkan": "Vulkan", "cpu": "CPU"}
    device = BUILT_IN[name]
    backend = speed.backend_of(device)
    for format in ("f16", "q4_0", "q4_k", "iq2_xs", "mxfp4"):
        uses = execution.execution_path(format, device).uses
        said = {
            use.multiplied_as
            for use in uses
            if use.engine == f"llama.cpp {engines[backend]}" and use.phase != "decode" and use.multiplied_as
        }
        assert said <= {speed.multiplied_as(device, speed.kind_of(format), backend)}


@pytest.mark.parametrize(
    ("name", "milliseconds"), [("apple-m2-ultra-76c", 10.61), ("apple-m3-max-40c", 15.08), ("apple-m4-pro-20c", 19.71)]
)
def test_devices_outside_the_collection(name: str, milliseconds: float) -> None:
    """Llama 2 7B in Q4_0, tg128, https://github.com/ggml-org/llama.cpp/discussions/4167: within 10%."""
    assert all(case.device.id != name for case in speed_rows.cases("decode")[0])
    shape = from_published("llama-2-7b")
    predicted = forecast.forecast(BUILT_IN[name], shape, assign(shape, "q4_0"), depth=64).decode
    assert predicted.tokens_per_second == pytest.approx(1000 / milliseconds, rel=0.10)
    assert predicted.low < 1000 / milliseconds < predicted.high


def test_siblings_against_the_averages_of_a_benchmark_site() -> None:
    """LocalScore's averages, which no fit uses, of devices whose peaks are scaled from another's."""
    file = json.loads(speed_rows.FILE.read_text(encoding="utf-8"))
    own = {row["id"] for row in schema.data("siblings.json")["siblings"]}
    names = {device.name: device for device in BUILT_IN.values() if device.id in own}
    shape, found = from_published("llama-3.1-8b"), []
    for row in file["rows"]:
        device = names.get(row["device"])
        if device and (row["model"], row["quant"], row["quality"]) == ("llama-3.1-8b", "Q4_K_M", "aggregate"):
            predicted = forecast.forecast(device, shape, assign(shape, "q4_k_m"), depth=500).decode
            assert predicted.low < row["tg_tps"] < predicted.high, device.id
            found.append(device.id)
    assert len(found) >= 8
