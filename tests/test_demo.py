"""The demo: a rotated model computes what its source does, and where answers depart is found and said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic_model

import bitwright as bw
from bitwright.errors import UsageError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
IDS = [3, 14, 15, 92, 65, 35, 89, 79]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    metadata = synthetic_model.metadata_of("llama") | {"general.name": "Tiny"}
    return synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata))


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    for name in ("demo", "rotate"):
        sys.modules.pop(name, None)


def test_a_rotated_model_computes_the_same_function(source: Path, tmp_path: Path) -> None:
    from rotate import rotate

    rotate(bw.open(source), tmp_path / "r.gguf")
    before, after = (np.array(bw.load(path).session().prefill(IDS)) for path in (source, tmp_path / "r.gguf"))
    assert np.abs(before - after).max() < 0.01 * np.abs(before).max()  # float16 keeps 11 bits
    made, given = bw.open(tmp_path / "r.gguf"), bw.open(source)
    assert made.metadata["general.name"] == "Tiny rotated" and made.tensors["output.weight"].format.name == "float16"
    name = "blk.0.ffn_up.weight"
    assert not np.allclose(made.tensor(name).dequantize(), given.tensor(name).dequantize(), atol=0.1)


def test_what_cannot_be_rotated_is_refused(source: Path, tmp_path: Path) -> None:
    from rotate import rotate

    with pytest.raises(UsageError, match="cannot mix 64 channels in groups of 3"):
        rotate(bw.open(source), tmp_path / "r.gguf", widen=True)
    metadata = synthetic_model.metadata_of("qwen2")
    other = synthetic_model.write(tmp_path / "q.gguf", metadata, synthetic_model.weights_of(metadata))
    with pytest.raises(UsageError, match="expected the architecture llama, got qwen2"):
        rotate(bw.open(other), tmp_path / "r.gguf")


def test_departures_in_words() -> None:
    from demo import departure

    words = SimpleNamespace(decode=lambda ids: f"w{ids[0]}")
    expected = [1, 2, 3]
    assert departure(expected, expected, words) == "the answer to keep"
    assert departure([1, 2, 3], expected, words) == "the same, token by token"
    assert departure([1, 2], expected, words) == "the same for 2 tokens"
    assert departure([1, 5, 3], expected, words) == "departs at token 2: 'w5' instead of 'w2'"


def test_rows_of_the_demo() -> None:
    from demo import row

    loss = {"mean": 0.157, "low": 0.109, "high": 0.271}
    model = {"name": "bitwright.q4_0.gguf", "file_bytes": 107_818_496}
    found = {"model": model, "is_reference": False, "kl_divergence": loss, "same_top1": 0.78,
             "first_divergence": {"median": 3.0, "low": 1.0, "high": 6.0}}  # fmt: skip
    assert row(found) == ("bitwright's method", "107.8 MB", "0.157 (0.109 to 0.271)", "22%", "3 (1 to 6)")
    original = {"model": {"name": "original.f16.gguf", "file_bytes": 327_509_216}, "is_reference": True}
    assert row(original) == ("the original", "327.5 MB", "0", "0%", "never")


def test_what_is_newer_than_its_sources_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from demo import missing

    source, made = tmp_path / "source", tmp_path / "made"
    source.touch()
    assert missing(made, source)
    made.touch()
    assert not missing(made, source) and capsys.readouterr().out == f"kept from last time: {made}\n"
    os.utime(source, (2e9, 2e9))
    assert missing(made, source)
