"""The views of files, formats and written files keep their keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from views.keys import check

from bitwright import quantizers
from bitwright.calibration import read
from bitwright.calibration.importance import calibrate
from bitwright.engine.conversation import Answer
from bitwright.errors import UnknownNameError
from bitwright.io import gguf
from bitwright.io.label import Label
from bitwright.measure.values import summarize
from bitwright.model.model import load
from bitwright.views import answer, audit, calibration, formats, inspect, label, quantized, tensor, tokens

FORMAT = "name aliases ggml block_size block_bytes bits_per_weight groups encode summary formula"
FIELD = "name type count offset bytes bits run layout doc"


def test_inspect(stories260k: Path) -> None:
    file = gguf.open(stories260k)
    found = inspect.inspect(file)
    check(
        found,
        "path version architecture parameters file_bytes bits_per_weight chat_template",
        {"tensors": "name shape format bytes", "formats": "format tensors parameters bytes bits_per_weight"},
        {"tokenizer": "model vocabulary bos eos", "metadata": "general.architecture tokenizer.ggml.tokens"},
        {"metadata": {"tokenizer.ggml.tokens": "length first"}},
    )
    assert found["file_bytes"] == stories260k.stat().st_size and len(found["tensors"]) == len(file.tensors)


@pytest.mark.parametrize("fill", [1.5, np.nan])
def test_tensor(stories260k: Path, fill: float) -> None:
    """Also with values that have no kurtosis or are not numbers."""
    info = gguf.open(stories260k).tensors["output_norm.weight"]
    for values in (np.linspace(-1, 1, 64, dtype=np.float32), np.full(64, fill, np.float32)):
        check(
            tensor.tensor(info, summarize(values)),
            "name shape format bytes count not_finite zeros minimum maximum mean standard_deviation kurtosis outliers",
            {"histogram": "edges counts"},
        )
    check(tensor.tensor(info, summarize(np.arange(64.0))), {"outliers": "index value deviations"})


def test_formats() -> None:
    check(formats.formats(), "families", {"formats": FORMAT}, {"formats": {"fields": FIELD}})
    check(formats.formats("q4_k"), FORMAT, {"fields": FIELD})
    check(formats.formats("int4_asym_g32"), FORMAT, {"fields": FIELD})
    with pytest.raises(UnknownNameError):
        formats.formats("q9_z")


def test_quantized(stories260k: Path, tmp_path: Path) -> None:
    keys = "output bytes bits_per_weight seconds", {"recipe": "tensor format bytes reason method"}
    found = quantized.quantized(quantizers.quantize(stories260k, "q4_0", tmp_path / "q4_0.gguf"))
    check(found, *keys)
    assert found["output"] == str(tmp_path / "q4_0.gguf")
    planned = quantized.quantized(quantizers.quantize(stories260k, "q4_0", None, dry_run=True))
    check(planned, *keys)
    assert planned["output"] is None


def test_calibration(stories260k: Path, tmp_path: Path) -> None:
    texts = [("a text", "Once upon a time there was a little girl. " * 20)]
    calibrate(load(stories260k), texts, 16, 2, None, tmp_path / "s.gguf")
    found = calibration.calibration(read(tmp_path / "s.gguf"), tmp_path / "s.gguf", 16, 0.5)
    check(found, "output weights chunks tokens seconds moments weighting")
    assert (found["chunks"], found["tokens"], found["weights"]) == (2, 32, 36)


def test_an_answer_and_tokens() -> None:
    keys = "text reasoning ids stopped prompt_tokens prefill_seconds decode_tokens_per_second"
    check(answer.answer(Answer(3, 0, [1, 2, 3], "abc", "", "stop", 0.1, 0.5)), keys)
    assert answer.answer(Answer(ids=[1]))["decode_tokens_per_second"] is None
    check(tokens.tokens([1, 2]), "ids count")


def test_a_label_and_an_audit(tmp_path: Path) -> None:
    written, report = Label({"half_life": float("inf"), "kl_divergence.low": float("nan"), "context": 128}), {"a": 1}
    check(label.label(written, tmp_path / "l.gguf", report), "output label report")
    check(audit.audit(written, (), report), "holds complaints label report")
    assert audit.audit(written, (), report)["holds"] and not audit.audit(None, ("no label",), report)["holds"]
