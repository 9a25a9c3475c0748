"""Files quantized with error feedback: what they lose, and when feedback is used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bitwright.calibration import ActivationStatistics, SquareSums
from bitwright.calibration.second_moments import gather
from bitwright.engine import load
from bitwright.errors import UnknownNameError, UsageError
from bitwright.measure import next_token, reference, windows
from bitwright.quantizers import quantize
from bitwright.quantizers.feedback import damped

TEXT = (Path(__file__).parent.parent / "golden/calibration.txt").read_text()
CONTEXT = 64


@pytest.fixture(scope="module")
def statistics(stories260k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with statistics of the first half of the text."""
    path = tmp_path_factory.mktemp("statistics") / "s.gguf"
    gather(load(stories260k).model, [("first half", TEXT[: len(TEXT) // 2])], path, CONTEXT)
    return path


@pytest.fixture(scope="module")
def lost(stories260k: Path, tmp_path_factory: pytest.TempPathFactory):
    """lost(**how): the mean KL divergence, on the second half of the text, of the model in Q4_0 with a Q4_0 head."""
    folder = tmp_path_factory.mktemp("files")
    engine = load(stories260k)
    text = windows.cut(engine.tokenizer, TEXT[len(TEXT) // 2 :], CONTEXT)
    original = reference.store_reference(engine, text, folder / "reference")

    def lost(**how: object) -> float:
        quantize(stories260k, "q4_0", folder / "small.gguf", [".=q4_0"], **how)
        scores = next_token.score_tokens(load(folder / "small.gguf"), original)
        return float(scores.divergences.mean())

    return lost


def test_feedback_loses_less_than_search_and_effort_helps(lost, statistics):
    searched = lost(method="search", stats=statistics)
    fed_back = lost(method="feedback", effort=0, stats=statistics)
    descended = lost(stats=statistics)
    assert fed_back < 0.8 * searched and descended < fed_back


def test_feedback_needs_second_moments(stories260k, statistics):
    def methods(*tensor_types: str, **how: object) -> dict[str, str]:
        result = quantize(stories260k, "q4_0", None, tensor_types, dry_run=True, **how)
        return {a.tensor: method for a, method in zip(result.assignments, result.methods, strict=True)}

    found = methods(stats=statistics)
    assert found["blk.0.attn_q.weight"] == "feedback" and found["blk.0.attn_norm.weight"] == ""
    assert set(methods().values()) == {"search", ""}
    assert set(methods(stats=statistics, method="rtn").values()) == {"rtn", ""}
    assert methods("attn_q=f16", stats=statistics, method="feedback")["blk.0.attn_q.weight"] == "search"


def test_invalid_arguments_are_refused(stories260k, tmp_path):
    out = tmp_path / "out.gguf"
    with pytest.raises(UsageError, match="calibrate MODEL --hessian"):
        quantize(stories260k, "q4_0", out, method="feedback")
    importance_alone = ActivationStatistics({"blk.0.attn_q.weight": SquareSums(np.ones((1, 64)), np.array([1]))})
    with pytest.raises(UsageError, match="calibrate MODEL --hessian"):
        quantize(stories260k, "q4_0", out, method="feedback", stats=importance_alone)
    with pytest.raises(UnknownNameError, match="best"):
        quantize(stories260k, "q4_0", out, method="best")
    with pytest.raises(UsageError, match="effort"):
        quantize(stories260k, "q4_0", out, effort=4)
    assert not out.exists()


def test_threads_change_no_byte(stories260k, statistics, tmp_path):
    for threads in (1, 3):
        quantize(stories260k, "q4_0", tmp_path / f"{threads}.gguf", stats=statistics, threads=threads)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "3.gguf").read_bytes()


def test_unused_columns_still_count():
    hessian = np.zeros((4, 4), np.float32)
    assert np.array_equal(damped(hessian), np.eye(4))
    hessian[:2, :2] = 1
    assert (damped(hessian).diagonal() > 0).all() and not hessian[2, 2]


def test_few_tokens_weaken_their_moments():
    hessian = np.ones((4, 4), np.float32)
    shares = [damped(hessian, tokens)[0, 1] / damped(hessian, tokens)[0, 0] for tokens in (1, 10, 1000)]
    assert shares == sorted(shares) and shares[0] == pytest.approx(0.5) and shares[2] == pytest.approx(1 / 1.01)


def test_the_command_reports_the_method(stories260k, statistics, capsys, tmp_path):
    from bitwright.cli import exit_code

    command = ["quantize", str(stories260k), "--to", "q4_0", "-o", str(tmp_path / "o.gguf"), "--stats", str(statistics)]
    assert exit_code([*command, "--json", "--effort", "1"]) == 0
    rows = {row["tensor"]: row["method"] for row in json.loads(capsys.readouterr().out)["recipe"]}
    assert rows["blk.4.ffn_up.weight"] == "feedback"
