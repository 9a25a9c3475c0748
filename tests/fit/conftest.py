"""A small real model, fitted once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitwright.fit import gathering
from bitwright.fit.budget import Ask
from bitwright.fit.run import fit
from bitwright.fit.settings import Fitted, Settings
from bitwright.measure.rollout.baseline import SUITES
from bitwright.model.model import load as load_model

SIZE = 276_928  # of the preset q4_0


def with_cache(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keeps what a fit gathers in `folder`, and lets the original write few and short texts: on a model this small,
    they would take longer than all else."""
    patch.setenv("BITWRIGHT_CACHE", str(folder))
    patch.setitem(SUITES, "quick", (12, 16))


def statistics_of(fitted: Fitted, settings: Settings) -> Path:
    """Where the statistics of a fit are kept."""
    model = load_model(fitted.source)
    return gathering.place(model, gathering.cut(model, settings.search), settings.seed)


@pytest.fixture(scope="session")
def fit_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def settings(data: Path) -> Settings:
    """No search beyond the first allocation, and short texts: on the whole of bitwright's own and of the machine's, a
    fit takes longer."""
    text = (data / "text/tinystories/tiny.utf8").read_text()
    return Settings(evaluations=1, search=(("search", text[-24000:]),), held_out=("held out", text[:16000]), threads=1)


@pytest.fixture
def own_cache(fit_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cache(monkeypatch, fit_cache)


@pytest.fixture(scope="session")
def fitted(stories260k: Path, settings: Settings, fit_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    with pytest.MonkeyPatch.context() as patch:
        with_cache(patch, fit_cache)
        return fit(stories260k, Ask(size=SIZE), settings, tmp_path_factory.mktemp("fit") / "small.gguf")
