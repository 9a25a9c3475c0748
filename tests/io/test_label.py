"""Damage labels: written, read, and checked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io import gguf, label
from bitwright.statistics.interval import Interval

REPORT = {
    "kl_divergence": {"mean": 0.1, "low": 0.08, "high": 0.12},
    "same_top1": 0.9,
    "noise_floor": {"kl_divergence": 1e-6},
    "context": 128,
    "chunks": 16,
    "chunks_sha256": "c" * 64,
    "reference": {"sha256": "r" * 64},
    "about": {"text_sha256": "t" * 64, "bitwright": "0.1.0", "suite": "quick"},
}


def made(file: gguf.GGUF, half_life: float | None = None, same: float = 0.9) -> label.Label:
    """The label that agrees with REPORT."""
    hashes = {"reference": "r" * 64, "text": "t" * 64, "chunks": "c" * 64}
    divergence = Interval(0.1, (0.08, 0.12), 16, "bootstrap", "chunks")
    return label.made(file, divergence, same, 1e-6, half_life, 128, 16, hashes, "quick")


def measured(mean: float, low: float | None, high: float | None, **other: object) -> dict:
    return {**REPORT, "kl_divergence": {"mean": mean, "low": low, "high": high}, **other}


@pytest.fixture
def file(stories260k):
    return gguf.open(stories260k)


def test_a_label_changes_only_the_metadata(file, tmp_path) -> None:
    assert label.read(file) is None
    label.write(file, made(file, half_life=12.5), tmp_path / "once.gguf")
    once = gguf.open(tmp_path / "once.gguf")
    found = label.read(once)
    assert found["kl_divergence.mean"] == 0.1 and found["half_life"] == 12.5 and found["suite"] == "quick"
    for name in file.tensors:
        np.testing.assert_array_equal(once.tensor(name).data, file.tensor(name).data)
    assert {key for key in once.metadata if not key.startswith(label.PREFIX)} == set(file.metadata)
    label.write(once, made(once, same=0.5), tmp_path / "twice.gguf")
    again = label.read(gguf.open(tmp_path / "twice.gguf"))
    assert again["same_top1"] == 0.5 and math.isnan(again["half_life"])
    assert again["tensors_sha256"] == found["tensors_sha256"] == label.sha256_of_tensors(file)


def test_an_audit_accepts_matching_figures_and_reports_others(file) -> None:
    claimed = made(file)
    other = {"chunks_sha256": "d" * 64}
    assert label.audit(claimed, measured(0.115, 0.1, 0.13, **other)) == ()
    (complaint,) = label.audit(claimed, measured(0.15, 0.13, 0.17, **other))
    assert "0.15000 (0.13000 to 0.17000), the label says 0.10000 (0.08000 to 0.12000)" in complaint
    assert label.audit(claimed, measured(0.05, 0.04, 0.07, **other))
    (complaint,) = label.audit(claimed, measured(0.1, None, None, **other))
    assert "too little text for intervals" in complaint
    elsewhere = label.audit(claimed, measured(0.1, 0.08, 0.12, reference={"sha256": "x" * 64}))
    assert elsewhere == ("the reference is not the file that the label names",)


def test_an_exact_repeat_holds_even_without_intervals(file) -> None:
    """Labels of earlier versions may have none."""
    values = made(file).values | {"kl_divergence.low": math.nan, "kl_divergence.high": math.nan}
    old = label.Label(values)
    assert not old.has_interval and label.audit(old, measured(0.1001, None, None)) == ()
    assert label.audit(old, measured(0.13, None, None)) and label.audit(old, measured(0.13, 0.12, 0.14))


def test_no_label_is_made_without_an_interval(file) -> None:
    few = Interval(0.1, None, 4, "bootstrap", "chunks")
    with pytest.raises(BitwrightError, match="needs an interval of its KL divergence, and 4 chunks are too few"):
        label.made(file, few, 0.9, None, None, 128, 4, {}, "quick")


def test_a_label_is_invalid_for_other_weights(file, tmp_path) -> None:
    from bitwright.quantizers import quantize

    quantize(file.path, "q8_0", tmp_path / "q8_0.gguf")
    claimed, other = made(file), gguf.open(tmp_path / "q8_0.gguf")
    assert label.without_measuring(claimed, file) == ()
    assert label.without_measuring(claimed, other) == ("the weights are not those that were labelled",)
    assert "no label" in label.without_measuring(None, other)[0]


def test_an_incomplete_label_is_reported(file, tmp_path) -> None:
    values = dict(made(file).values)
    del values["noise_floor"]
    label.write(file, label.Label(values), tmp_path / "l.gguf")
    with pytest.raises(BitwrightError, match="lacks noise_floor"):
        label.read(gguf.open(tmp_path / "l.gguf"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kl_divergence.mean", "small", "kl_divergence.mean to be a float, got string 'small'"),
        ("kl_divergence.low", 1, "kl_divergence.low to be a float, got uint32 1"),
        ("context", 128.5, "context to be a whole number from 0 to .*, got float32 128.5"),
        ("chunks", ["a"], "chunks to be a whole number from 0 to .*, got array of 1 string: 'a'"),
        ("suite", 7, "suite to be a string, got uint32 7"),
        ("text_sha256", [1], "text_sha256 to be a string, got array of 1 int32: 1"),
    ],
)
def test_a_label_of_wrong_types_is_refused_by_key(file, tmp_path, key: str, value: object, message: str) -> None:
    label.write(file, made(file), tmp_path / "l.gguf")
    wrong = gguf.open(tmp_path / "l.gguf").metadata.typed() | {label.PREFIX + key: value}
    gguf.write(tmp_path / "w.gguf", wrong, [])
    with pytest.raises(FileFormatError, match=message):
        label.read(gguf.open(tmp_path / "w.gguf"))
