"""`bitwright fit`: what is asked for, what is written, and exit codes; the search itself is replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli.support import Outcome
from fit.results import result, small_model

from bitwright import formats, recipes
from bitwright.cli import fitting
from bitwright.errors import BudgetError
from bitwright.fit.budget import Ask
from bitwright.fit.settings import Fitted, Settings

Run = Callable[..., Outcome]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_model(tmp_path / "small.f16.gguf")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Ask, Settings]]:
    """What the search was asked for; it writes a file of three bytes and returns a result made by hand."""
    calls: list[tuple[Path, Ask, Settings]] = []

    def search(source: Path, ask: Ask, settings: Settings, out: Path) -> Fitted:
        calls.append((source, ask, settings))
        out.write_bytes(source.stem[:3].encode())
        return result(source, out, replace(ask, speed=None), history={"tried": [1]})

    monkeypatch.setattr(fitting, "search", search)
    return calls


@pytest.mark.parametrize(
    ("options", "ask"),
    [
        (["--memory", "8GB", "-c", 64, "--kv", "q8_0"], Ask(memory=8 * 10**9, context=64, kv="q8_0")),
        (["--size", "4.2MB"], Ask(size=4_200_000)),
        (["--bits-per-weight", "4.5", "--engine", "bitwright"], Ask(bits_per_weight=4.5, engine="bitwright")),
        (["--max-kl", "0.05"], Ask(max_kl=0.05)),
    ],
)
def test_budgets(bitwright: Run, model: Path, tmp_path: Path, asked: Any, options: list[object], ask: Ask) -> None:
    outcome = bitwright("fit", model, *options, "-o", tmp_path / "out.gguf")
    assert outcome.code == 0, outcome.err
    assert asked[0][:2] == (model, ask)
    assert "clearly damaged" in outcome.out and f"wrote {tmp_path / 'out.gguf'}" in outcome.out


def test_a_device_is_a_budget_or_is_to_be_fast(bitwright: Run, model: Path, tmp_path: Path, asked: Any) -> None:
    out = ("-o", tmp_path / "out.gguf")
    assert bitwright("fit", model, "--device", "3090", *out).code == 0
    assert bitwright("fit", model, "--size", "2MB", "--device", "3090", "--min-speed", 12, *out).code == 0
    (_, first, _), (_, second, _) = asked
    assert first.device.id == "rtx-3090-24gb" and first.speed is None
    assert second.device is None and second.size == 2 * 10**6 and second.speed == (12.0, first.device)


def test_a_match_has_the_bytes_of_the_file(bitwright: Run, model: Path, tmp_path: Path, asked: Any) -> None:
    assert bitwright("fit", model, "--match", model, "-o", tmp_path / "out.gguf").code == 0
    assert asked[0][1].match == (model.stat().st_size, str(model))


def test_settings(bitwright: Run, model: Path, tmp_path: Path, asked: Any) -> None:
    text, other = tmp_path / "own.txt", tmp_path / "other.txt"
    text.write_text("some text")
    other.write_text("held out")
    outcome = bitwright("fit", model, "--size", "2MB", "-o", tmp_path / "out.gguf", "-f", text, "--held-out", other,
                        "--minutes", 5, "--palette", "k,fp4", "--objective", "tail", "--seed", 7, "--ray", "auto",
                        "-t", 2, "--evaluations", 400)  # fmt: skip
    assert outcome.code == 0 and "no -f" not in outcome.err
    assert asked[0][2] == Settings(5.0, None, (("own.txt", "some text"),), ("other.txt", "held out"), ("k", "fp4"),
                                   "tail", 7, 2, "auto", 400)  # fmt: skip


def test_json(bitwright: Run, model: Path, tmp_path: Path, asked: Any) -> None:
    outcome = bitwright("fit", model, "--size", "2MB", "-o", tmp_path / "out.gguf", "--json")
    assert outcome.json["budget_bytes"] == 2 * 10**6 and outcome.json["output"] == str(tmp_path / "out.gguf")
    assert outcome.json["measured"]["about"]["suite"] == "quick"
    assert "no -f: searching" in outcome.err and "no --held-out" in outcome.err


@pytest.mark.parametrize(("name", "options"), [("q4_0", ""), ("iq2_s", "--imatrix IMATRIX ")])
def test_what_llama_quantize_needs_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, options: str
) -> None:
    found = result(model, tmp_path / "out.gguf")
    format = formats.get(name)
    fitting.keep(
        replace(found, assignments=tuple(replace(a, format=format) for a in found.assignments)),
        None,
        tmp_path / "t.txt",
        None,
    )
    assert f"llama-quantize {options}--tensor-type-file {tmp_path / 't.txt'}" in capsys.readouterr().err


def test_a_recipe_that_llama_quantize_stops_at_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It demands importance for some formats, and an embedding has none unless it is the output too."""
    found, low = result(model, tmp_path / "out.gguf"), formats.get("iq2_xs")
    given = tuple(replace(a, format=low) for a in found.assignments)
    for untied, said in ((True, "llama-quantize cannot follow"), (False, "for llama.cpp: llama-quantize --imatrix")):
        kept = tuple(a for a in given if untied or a.tensor != "output.weight")
        fitting.keep(replace(found, assignments=kept), None, tmp_path / "t.txt", None)
        assert said in " ".join(capsys.readouterr().err.split())


def test_the_recipe_and_the_history_are_written(bitwright: Run, model: Path, tmp_path: Path, asked: Any) -> None:
    files = [tmp_path / name for name in ("out.gguf", "found.toml", "types.txt", "history.json")]
    outcome = bitwright("fit", model, "--size", "2MB", "-o", files[0], "--save-recipe", files[1], "--tensor-types",
                        files[2], "--history", files[3])  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = recipes.load(files[1])
    assert found.patterns == recipes.read_tensor_types(files[2])
    assert {p.name: p.format.name for p in found.patterns}["blk.3.attn_v.weight"] == "q8_0"
    assert len(found.patterns) == 2 + 7 * 7 and json.loads(files[3].read_text()) == {"tried": [1]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "expected one budget: --memory, --device, --size"),
        (["--size", "2MB", "--memory", "8GB"], "expected one budget"),
        (["--size", "2MB", "--min-speed", "9"], "--min-speed needs the device"),
        (["--size", "2MB", "--device", "3090"], "--device is a budget by itself"),
        (["--device", "m1-max"], "--device m1-max means 2 devices; name one: apple-m1-max-24c, apple-m1-max-32c"),
        (["--size", "huge"], "--size expects a size such as 24GB"),
        (["--size", "2MB", "--palette", "k,kq"], "unknown family of formats 'kq'; did you mean k"),
        (["--size", "2MB", "--objective", "median"], "unknown objective 'median'"),
        (["--size", "2MB", "--recipe", "q4_0"], "--recipe takes the place of a budget"),
        (["--recipe", "q4_x"], "unknown recipe 'q4_x'"),
        (["--size", "2MB", "--save-recipe", "r.txt"], "r.txt: the name of a recipe file ends in .toml"),
        (["--size", "2MB", "--history", "h", "--tensor-types", "h"], "--tensor-types and --history would both write h"),
        (["--size", "2MB", "--held-out", "missing.txt"], "missing.txt: No such file"),
    ],
)
def test_wrong_usage(
    bitwright: Run, model: Path, tmp_path: Path, asked: Any, monkeypatch: Any, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = bitwright("fit", model, "-o", "out.gguf", *options)
    assert outcome.code == 2 and said in outcome.err and not asked and not outcome.out


def test_an_output_is_needed(bitwright: Run, model: Path) -> None:
    outcome = bitwright("fit", model, "--size", "2MB")
    assert outcome.code == 2 and "fit needs an output file: -o FILE" in outcome.err


def test_the_model_is_never_written_over(bitwright: Run, model: Path, asked: Any) -> None:
    for option in ("-o", "--history"):
        outcome = bitwright("fit", model, "--size", "2MB", *(["-o", "x.gguf"] if option != "-o" else []), option, model)
        assert outcome.code != 0 and str(model) in outcome.err and not asked


def test_a_budget_that_cannot_be_met(bitwright: Run, model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*_: object) -> Fitted:
        raise BudgetError("small does not fit", 3)

    monkeypatch.setattr(fitting, "search", refuse)
    outcome = bitwright("fit", model, "--size", "2MB", "-o", tmp_path / "out.gguf")
    assert outcome.code == 3 and outcome.err.splitlines()[-1] == "bitwright: error: small does not fit"
    other = small_model(tmp_path / "other.gguf")
    outcome = bitwright("fit", model, other, "--size", "2MB", "-o", tmp_path / "out.gguf")
    assert outcome.code == 3 and "none of the 2 models fits: small does not fit; small does not fit" in outcome.err


def test_an_interrupted_search(bitwright: Run, model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def stopped(source: Path, ask: Ask, settings: Settings, out: Path) -> Fitted:
        out.write_bytes(b"so far")
        return result(source, out, ask, measured=None, interrupted=True)

    monkeypatch.setattr(fitting, "search", stopped)
    other = small_model(tmp_path / "other.gguf")
    for models in ([model], [model, other]):
        out = tmp_path / f"{len(models)}.gguf"
        outcome = bitwright("fit", *models, "--size", "2MB", "-o", out, "--save-recipe", tmp_path / "r.toml")
        assert outcome.code == 130 and "the same command goes on" in outcome.err
        assert out.read_bytes() == b"so far" and (tmp_path / "r.toml").exists()


def test_several_models(bitwright: Run, model: Path, tmp_path: Path, asked: Any) -> None:
    """Both results are the same, so that neither is better; one file stays."""
    other = small_model(tmp_path / "other.gguf")
    out = tmp_path / "out.gguf"
    outcome = bitwright("fit", model, other, "--size", "2MB", "-o", out, "--minutes", 10)
    assert outcome.code == 0, outcome.err
    assert [settings.minutes for *_, settings in asked] == [5.0, 5.0]
    assert outcome.out.startswith("small.f16.gguf takes the least memory of models that cannot be told apart")
    assert out.read_bytes() == b"sma" and f"wrote {out}" in outcome.out
    assert sorted(path.name for path in tmp_path.glob("*.gguf")) == ["other.gguf", "out.gguf", "small.f16.gguf"]
    found = bitwright("fit", model, other, "--size", "2MB", "-o", out, "--json").json
    assert found["chosen"] == "small.f16.gguf" and found["result"]["output"] == str(out)
