"""The reference forward reproduces figures of another program for a real trained model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_forward import Reference

from bitwright.io import gguf


@pytest.fixture(scope="module")
def golden(stories260k: Path) -> dict[str, Any]:
    return json.loads((stories260k.parent / "golden.json").read_text())


@pytest.fixture(scope="module")
def reference(stories260k: Path) -> Reference:
    """With a float64 cache, as for the goldens."""
    file = gguf.open(stories260k)
    weights = {name: file.tensor(name).dequantize() for name in file.tensors}
    return Reference(file.metadata, weights, cache=np.float64)


def test_top_10_log_probabilities(reference: Reference, golden: dict[str, Any]) -> None:
    for prompt in golden["prompts"]:
        last = reference.log_probabilities(prompt["ids"])[-1]
        assert np.argsort(-last)[:10].tolist() == prompt["top10_ids"]
        np.testing.assert_allclose(last[prompt["top10_ids"]], prompt["top10_logprob"], atol=1e-6)


def test_greedy_ids(reference: Reference, golden: dict[str, Any]) -> None:
    ids = golden["greedy_from_bos"]
    assert reference.logits(ids[:-1]).argmax(axis=1).tolist() == ids[1:]
