"""Second moments in files: a round trip keeps them; damaged files and files of another model are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gathered import CHUNKS, CONTEXT, same

from bitwright import calibration, formats
from bitwright.calibration import ActivationStatistics, SecondMoment, SquareSums
from bitwright.calibration.moments import pack
from bitwright.errors import BitwrightError, FileFormatError, UsageError
from bitwright.io import gguf


def test_a_round_trip_keeps_every_bit(fisher: ActivationStatistics, tmp_path: Path) -> None:
    calibration.write(tmp_path / "again.gguf", fisher)
    again = calibration.read(tmp_path / "again.gguf")
    assert same(fisher, again) and again.provenance == fisher.provenance
    assert again.provenance.tokens == CONTEXT * CHUNKS and len(again.provenance.ids_sha256) == 64
    with pytest.raises(UsageError, match="a .dat holds only importance"):
        calibration.write(tmp_path / "s.dat", fisher)


def test_experts_have_a_matrix_each(tmp_path: Path) -> None:
    matrices = np.random.default_rng(0).standard_normal((3, 16, 8)).astype(np.float32)
    matrices = np.einsum("eij,eik->ejk", matrices, matrices)
    packed = np.stack([pack(matrix) for matrix in matrices])
    moment = SecondMoment(("blk.0.ffn_up_exps.weight",), "plain", 3, 8, lambda: packed)
    written = ActivationStatistics({"w": SquareSums(np.ones((1, 8)), np.array([1]))}, moments=(moment,))
    calibration.write(tmp_path / "s.gguf", written)
    np.testing.assert_array_equal(calibration.read(tmp_path / "s.gguf").hessian("blk.0.ffn_up_exps.weight"), matrices)


def spoiled(path: Path, **changes: Any) -> ActivationStatistics:
    """What a file with one moment of two columns holds after `changes` were made to it."""
    metadata = {
        "general.type": "imatrix",
        "bitwright.moments.weights": ["w"],
        "bitwright.moments.of": gguf.Typed([0], "array[uint32]"),
        "bitwright.moments.weighting": ["plain"],
        "bitwright.moments.columns": gguf.Typed([2], "array[uint32]"),
    }
    tensors = {"w.in_sum2": np.ones((1, 2)), "w.counts": np.ones((1, 1)), "moment.0": np.array([[1.0, 0.0, 1.0]])}
    metadata |= {f"bitwright.moments.{key}": value for key, value in changes.items() if key in ("weights", "of",
                 "weighting", "columns", "seed")}  # fmt: skip
    tensors |= {key.replace("__", "."): value for key, value in changes.items() if key in ("moment__0", "w__out_grad2")}
    made = [
        (n, v.shape, formats.get("f32"), lambda v=v: v.astype(np.float32)) for n, v in tensors.items() if v is not None
    ]
    gguf.write(path, metadata, made)
    statistics = calibration.read(path)
    statistics.hessian("w")
    return statistics


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "not a number": ({"moment__0": np.array([[1, np.nan, 1]])}, "second moments of w that are finite"),
    "a negative diagonal": ({"moment__0": np.array([[1.0, 0, -1]])}, "second moments of w with a diagonal from 0"),
    "another shape": ({"moment__0": np.ones((1, 4))}, r"moment.0 to be float32, .* \(matrices, 3\) of 2 columns"),
    "no tensor": ({"moment__0": None}, "a tensor moment.0, got none"),
    "no such moment": ({"of": gguf.Typed([1], "array[uint32]")}, "which of 1 it uses"),
    "a weight without a moment": ({"weights": ["w", "v"]}, "which of 1 it uses"),
    "a weight twice": ({"weights": ["w", "w"], "of": gguf.Typed([0, 0], "array[uint32]")}, "which of 1 it uses"),
    "an unknown weighting": ({"weighting": ["most"]}, "weighting: fisher, plain, gradient, got 'most'"),
    "two weightings": ({"weighting": ["plain", "plain"]}, "of one length, got 2, 1"),
    "not a list": ({"columns": 2}, "columns to be an array of whole numbers, got uint32 2"),
    "a list of words": ({"of": ["0"]}, "of to be an array of whole numbers, got array of 1 string"),
    "a seed that is a word": ({"seed": "one"}, "seed to be a whole number from 0 to .*, got string .one."),
    "negative gradients": ({"w__out_grad2": np.full((1, 3), -1.0)}, "mean squared gradients of w"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    changes, message = HOSTILE[name]
    assert spoiled(tmp_path / "good.gguf").hessian("w").tolist() == [[[1, 0], [0, 1]]]
    with pytest.raises(FileFormatError, match=message):
        spoiled(tmp_path / "s.gguf", **changes)


def test_moments_of_another_model_are_refused(fisher: ActivationStatistics, smollm2: Path) -> None:
    only = ActivationStatistics({}, moments=fisher.moments)
    with pytest.raises(BitwrightError, match=r"s: blk\.0\.attn_k\.weight needs second moments of shape \(1, 576\)"):
        only.fitted(gguf.open(smollm2).tensors, "s")
