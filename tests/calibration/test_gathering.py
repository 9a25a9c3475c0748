"""Gathering second moments: seeds, passes, interruptions, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from gathered import CHUNKS, CONTEXT, TEXTS, same

from bitwright.calibration import ActivationStatistics
from bitwright.calibration import second_moments as gathering
from bitwright.calibration.second_moments import gather
from bitwright.errors import UnsupportedError, UsageError
from bitwright.kernels.ops import Rope
from bitwright.model.model import Model


def test_only_the_same_seed_gives_the_same_moments(model: Model, fisher: ActivationStatistics, tmp_path: Path) -> None:
    assert same(fisher, gather(model, TEXTS, tmp_path / "a.gguf", CONTEXT, CHUNKS))
    assert not same(fisher, gather(model, TEXTS, tmp_path / "b.gguf", CONTEXT, CHUNKS, seed=1))


@pytest.mark.parametrize("weighted", [True, False])
def test_several_passes_give_the_same_moments(model: Model, tmp_path: Path, weighted: bool) -> None:
    notes: list[str] = []
    whole = gather(model, TEXTS, tmp_path / "whole.gguf", CONTEXT, CHUNKS, weighted)
    found = gather(
        model, TEXTS, tmp_path / "s.gguf", CONTEXT, CHUNKS, weighted, budget=400_000,
        progress=lambda *a: notes.append(a[2]),
    )  # fmt: skip
    assert same(whole, found)
    assert len(set(notes)) > 2 and notes[0] == f"pass 1 of {len(set(notes))}"


@pytest.mark.parametrize("when", range(1, 2 * CHUNKS))
def test_an_interrupted_run_resumes(
    model: Model, fisher: ActivationStatistics, tmp_path: Path, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two passes, stopped after each chunk in turn, give the same bits and read no chunk twice."""
    monkeypatch.setattr(gathering, "SAVE_SECONDS", 0)
    output, budget = tmp_path / "s.gguf", 500_000

    def stop(done: float, total: float, note: str) -> None:
        assert total == 2 * CHUNKS
        if done == when + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(model, TEXTS, output, CONTEXT, CHUNKS, budget=budget, progress=stop)
    assert not output.exists() and (tmp_path / "s.gguf.partial").is_dir()
    seen: list[float] = []
    found = gather(model, TEXTS, output, CONTEXT, CHUNKS, budget=budget, progress=lambda done, *rest: seen.append(done))
    assert seen == list(range(when + 1, 2 * CHUNKS + 1))
    assert same(fisher, found) and not (tmp_path / "s.gguf.partial").exists()


@pytest.mark.parametrize("lost", ["flow", "gradient"])
def test_what_passes_hand_on_must_be_there(
    model: Model, tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "SAVE_SECONDS", 0)
    output, budget = tmp_path / "s.gguf", 400_000

    def stop(done: float, *rest: object) -> None:
        if done == CHUNKS + 1:  # in the second of several passes
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(model, TEXTS, output, CONTEXT, CHUNKS, budget=budget, progress=stop)
    for path in (tmp_path / "s.gguf.partial").glob(f"*.{lost}"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=rf"{lost} is damaged: remove"):
        gather(model, TEXTS, output, CONTEXT, CHUNKS, budget=budget)


def test_a_run_with_other_settings_is_not_resumed(model: Model, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(gathering, "SAVE_SECONDS", 0)
    output = tmp_path / "s.gguf"

    def stop(done: float, *rest: object) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(model, TEXTS, output, CONTEXT, CHUNKS, progress=stop)
    for other in ({"seed": 3}, {"fisher": False}, {"chunks": 2}):
        with pytest.raises(UsageError, match="an unfinished calibration with another"):
            gather(model, TEXTS, output, CONTEXT, **{"chunks": CHUNKS, **other})
    saved = tmp_path / "s.gguf.partial/0.npz"
    whole = saved.read_bytes()
    method = bytearray(whole)
    for start in (m.start() for m in re.finditer(b"PK\x01\x02", whole)):
        method[start + 10] = 99  # a way to compress that zipfile does not know: NotImplementedError
    for damaged in (b"PK", bytes(method), whole.replace(b"'descr'", b"'descr\x00")):
        saved.write_bytes(damaged)
        with pytest.raises(UsageError, match=r"0\.npz is damaged .* remove"):
            gather(model, TEXTS, output, CONTEXT, CHUNKS)


def test_only_fisher_moments_need_the_gradient_of_every_op(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Rope, "gradient")
    with pytest.raises(UnsupportedError, match="the gradient of rope is not supported"):
        gather(model, TEXTS, tmp_path / "s.gguf", CONTEXT, CHUNKS)
    assert gather(model, TEXTS, tmp_path / "s.gguf", CONTEXT, CHUNKS, fisher=False).moments
