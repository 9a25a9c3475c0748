"""The chapter on choosing codes: what is chosen is shown, in Python's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from watched_page import Watched, number

from bitwright.errors import UnsupportedError
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.subject import Subject
from bitwright.views import codes


def test_methods_and_formats(page: Watched, documents: Documents) -> None:
    shown = page.open("codes")
    found = documents["codes/q4_0"]
    for method, label in (("rtn", "round"), ("feedback", "feedback")):
        shown.locator("[data-control=method] label", has_text=label).click()
        row = found["row"]["errors"][method]
        assert page.value("row-weights") == f"{100 * row['weights']:.2f}%"
        assert page.value("row-read") == f"{100 * row['read']:.2f}%"
        assert page.value("row-held-out") == f"{100 * row['held_out']:.2f}%"
    errors = found["errors"]
    shares = {m: round(100 * errors[m]["held_out"] / errors["rtn"]["held_out"]) for m in errors}
    assert {m: page.value(f"{m}-held_out") for m in errors} == {m: f"{share}%" for m, share in shares.items()}
    shown.locator("[data-control=format]").select_option("mxfp4")
    shown.locator("legend", has_text="How mxfp4 codes").wait_for()
    errors = documents["codes/mxfp4"]["errors"]
    assert page.value("feedback-weights") == f"{round(100 * errors['feedback']['weights'] / errors['rtn']['weights'])}%"


def test_slow_motion(page: Watched, documents: Documents) -> None:
    found = documents["feedback"]
    grid = next(g for g in found["grids"] if g["count"] == 4)
    shown = page.open("codes?step=30")
    for _ in range(3):
        shown.locator("[data-control=step-on]").click(force=True)
    assert shown.locator("[data-control=step-on]").is_disabled()
    left = sum(grid["feedback"]["losses"]) / sum(grid["plain"]["losses"])
    assert page.value("left") == f"{round(100 * left)}%"
    assert float(page.value("fed")) == pytest.approx(sum(grid["feedback"]["losses"]), rel=1e-3)
    assert number(page.value("became")) == pytest.approx(grid["feedback"]["decoded"][31], rel=1e-3)
    shown.locator("[data-control=step-back]").click()
    assert float(page.value("plain")) == pytest.approx(sum(grid["plain"]["losses"][:31]), rel=1e-3)
    shown.locator("[data-control=step]").fill("20")
    assert number(page.value("wanted")) == pytest.approx(grid["feedback"]["targets"][20][19], rel=1e-3)
    shown.locator("[data-control=step]").fill("31")
    shown.locator("[data-control=numbers] label", has_text="8").click()
    assert float(page.value("plain")) == pytest.approx(sum(found["grids"][2]["plain"]["losses"][:31]), rel=1e-3)


def test_a_model_that_cannot_run_is_said(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object) -> None:
        raise UnsupportedError("architecture", "x", ["llama"])

    monkeypatch.setattr(codes.Model, "from_gguf", refuse)
    subject = Subject(documents.subject.path, "x")
    found = Documents(subject)["layer"]
    assert found["tensor"] is None and "architecture" in found["problem"]
    assert not [name for name in Documents(subject).names() if name.startswith(("codes", "feedback"))]


def test_the_next_token_comes_back(page: Watched, documents: Documents, stories260k: Path) -> None:
    found = Documents(Subject(stories260k, "stories260K", threads=1))["methods"]
    documents._made["methods"] = found  # of a small model: SmolLM2 takes half a minute
    shown = page.open("codes")
    shown.locator("[data-control=whole]").click()
    shown.locator("[data-control=place]").fill("3")
    for k, row in enumerate(found["places"][3]["top"]):
        assert page.value(f"feedback-{k}").endswith(f"{round(100 * row['feedback'])}%")
    said = shown.locator("section[aria-label='round to nearest']").last.inner_text()
    assert f"{found['places'][3]['divergence']['rtn']:.3g} nats here" in said
    del documents._made["methods"]


def test_a_vocabulary_is_read_once(stories260k: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    whole = codes.Model.from_gguf
    monkeypatch.setattr(codes.Model, "from_gguf", lambda file: (read.append(file), whole(file))[1])
    found = Documents(Subject(stories260k, "stories260K"))
    assert found["layer"] and found["dots"] and len(list(found.names())) > 10
    assert len(read) <= 3  # for the layer, for whole models, for running it


def test_it_plays_unless_less_motion_is_wanted(page: Watched, browser: Any, site: str) -> None:
    assert not page.open("codes").locator("[data-control=step-play]").count()  # the shared page wants less
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="no-preference")
    shown = Watched(context.new_page(), site).open("codes?step=30")
    shown.locator("[data-control=step-play]").click()
    shown.locator("[data-control=step-on]:disabled").wait_for()
    assert shown.locator("[data-control=step]").input_value() == "32"
    context.close()
