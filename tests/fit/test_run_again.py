"""What a fit does not do again after a kill, and what it leaves out without time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitwright.fit import gathering, survey
from bitwright.fit.budget import Ask
from bitwright.fit.problem import WEIGHED
from bitwright.fit.run import fit
from bitwright.fit.schedule import FEWEST
from bitwright.fit.settings import Fitted, Settings
from bitwright.formats import Format, QuantizedTensor
from bitwright.io import gguf, label
from bitwright.kernels.tape import Tape
from bitwright.measure.windows import spread
from bitwright.model.model import load as load_model
from bitwright.quantizers import Quantizer, quantize
from bitwright.recipes import Recipe
from bitwright.views.fit import fitted as view_of
from tests.fit.conftest import SIZE, statistics_of


def test_without_time_the_least_is_done_and_said(
    settings: Settings, fitted: Fitted, stories260k: Path, own_cache: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """At once how long it takes, then all that is cut; the same call again gives the same file."""
    said: list[str] = []
    hurried = replace(settings, minutes=0, evaluations=None, seed=2)
    found = fit(stories260k, Ask(size=SIZE), hurried, tmp_path / "small.gguf", told=said.append)
    assert said[0].startswith("0 seconds will not do for this model on this machine")
    assert [line.removeprefix("to keep within 0 seconds, ") for line in said[1:]] == list(found.cut)
    model = load_model(stories260k)
    pieces = gathering.cut(model, settings.search)
    for cut in (
        f"statistics are gathered on {FEWEST} of {len(pieces.gathered)} chunks",
        "the final codes are chosen with effort 1 of 3",
        "the file is not measured over many steps",
        "tensors are tried in fewer formats",
        f"prices of formats come from 1 of {len(pieces.raced[:WEIGHED])} chunks",
    ):
        assert any(line.startswith(cut) for line in found.cut), cut
    assert found.measured is not None and fitted.measured is not None and not fitted.cut
    assert found.measured.divergence.estimate < 3 * fitted.measured.divergence.estimate
    shown = view_of(found)
    assert shown["cut"] == list(found.cut) and shown["measured"]["first_divergence"] is None
    written = found.output.read_bytes()
    encoded: list[str] = []
    encode = Quantizer.encode

    def counted(own: Quantizer, tensor: QuantizedTensor, format: Format, only: int | None = None) -> Any:
        if tensor.format is not format and tensor.shape[0] > survey.ROWS:
            encoded.append(tensor.name)
        return encode(own, tensor, format, only)

    monkeypatch.setattr(Quantizer, "encode", counted)
    again = fit(stories260k, Ask(size=SIZE), hurried, tmp_path / "small.gguf")
    assert again.cut == found.cut and again.output.read_bytes() == written
    assert not encoded  # the final codes are those that candidates were made of
    pieces = replace(pieces, gathered=pieces.gathered[spread(len(pieces.gathered), FEWEST)])
    recipe = Recipe.exact({a.tensor: a.format for a in found.assignments})
    quantize(stories260k, recipe, tmp_path / "plain.gguf", stats=gathering.place(model, pieces, 2), effort=1, threads=1)
    plain = gguf.open(tmp_path / "plain.gguf")
    assert label.sha256_of_tensors(gguf.open(again.output)) == label.sha256_of_tensors(plain)


def test_a_fit_killed_between_chunks_of_gradients_goes_on_there(
    settings: Settings, fitted: Fitted, stories260k: Path, own_cache: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The kill comes before the fourth chunk; the call that follows takes the gradients of the others alone."""
    seen: list[int] = []
    gradients = Tape.gradients

    def killed(tape: Tape, *arguments: Any) -> None:
        seen.append(len(seen))
        if len(seen) == 4:
            raise KeyboardInterrupt
        gradients(tape, *arguments)

    monkeypatch.setattr(Tape, "gradients", killed)
    other = replace(settings, seed=1, stats=statistics_of(fitted, settings))
    with pytest.raises(KeyboardInterrupt):
        fit(stories260k, Ask(size=SIZE), other, tmp_path / "small.gguf")
    fit(stories260k, Ask(size=SIZE), other, tmp_path / "small.gguf")
    chunks = gathering.cut(load_model(stories260k), settings.search).raced[:WEIGHED]
    assert len(seen) == 4 + len(chunks) - 3
