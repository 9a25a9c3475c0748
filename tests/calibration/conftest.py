"""The small model, and second moments gathered on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gathered import CHUNKS, CONTEXT, TEXTS

from bitwright.calibration import ActivationStatistics
from bitwright.calibration.second_moments import gather
from bitwright.model.model import Model, load


@pytest.fixture(scope="session")
def model(stories260k: Path) -> Model:
    return load(stories260k)


@pytest.fixture(scope="session")
def fisher(model: Model, tmp_path_factory: pytest.TempPathFactory) -> ActivationStatistics:
    return gather(model, TEXTS, tmp_path_factory.mktemp("fisher") / "s.gguf", CONTEXT, CHUNKS)
