"""The public names: lazy, complete, and cheap to import."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bitwright as bw
from bitwright.recipes import Pattern, Recipe


def test_every_public_name_exists() -> None:
    for name in bw.__all__:
        assert getattr(bw, name) is not None
    assert set(bw.__all__) <= set(dir(bw))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        bw.quantise  # noqa: B018


def test_importing_bitwright_imports_nothing_heavy() -> None:
    code = (
        "import sys, bitwright; heavy = {'numpy', 'gguf', 'tokenizers', 'huggingface_hub', 'typer', 'rich', 'jinja2'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_place_names_the_version() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    [version] = [entry for entry in project["tool"]["dynamic-metadata"] if entry["field"] == "version"]
    assert bw.__version__ in (Path(__file__).parents[1] / version["input"]).read_text("utf-8")


def test_things_say_what_they_are(stories260k: Path, tmp_path: Path) -> None:
    engine = bw.load(stories260k, context=64, threads=1, tier="scalar")
    session = engine.session(2)
    session.prefill([1, 2, 3])
    made = bw.quantize(stories260k, "q8_0", tmp_path / "m.gguf")
    name = stories260k.name
    for thing, expected in (
        (bw.open(stories260k), f"<GGUF {name}: llama, 48 tensors, 1.2 MB>"),
        (engine, f"<Engine {name}: llama, context 64, 1 thread, scalar, f16 cache>"),
        (engine.model, f"<Model {name}: llama, 0.3 M weights, 1.2 MB>"),
        (engine.tokenizer, "<Tokenizer: 512 tokens>"),
        (session, f"<Session of {name}: 3, 0 of 64 tokens>"),
        (bw.Sampler(0, seed=7), "<Sampler temperature 0, top_k 40, top_p 0.95, min_p 0.05, seed 7>"),
        (Recipe.named("Q4_K_M"), "<Recipe: q4_k_m>"),
        (Recipe.named("q4_0").preceded([Pattern.parse("ffn=q8_0")]), "<Recipe: 1 pattern, then q4_0>"),
        (Recipe(), "<Recipe: every format kept>"),
    ):
        assert repr(thing) == expected
    assert repr(bw.open(stories260k).metadata).startswith(f"<Metadata of {name}: ")
    assert len(repr(made)) < 300 and "m.gguf" in repr(made)


def test_text_in_text_out(stories260k: Path) -> None:
    told = bw.ask(stories260k, "Once upon a time", max_tokens=8, raw=True)
    assert told.startswith(", there was a little girl")
    assert bw.ask(bw.load(stories260k), "Once upon a time", max_tokens=8, raw=True) == told


def test_the_divergence_in_one_call(stories260k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    bw.quantize(stories260k, "q4_0", tmp_path / "m.gguf")
    found = bw.kl_divergence(tmp_path / "m.gguf", stories260k, context=64, chunks=16)
    assert 0 < found.low < found.estimate < found.high and found.of == "documents"
    assert re.fullmatch(r"0\.\d+ \(0\.\d+ to 0\.\d+\)", str(found))
    same = bw.kl_divergence(bw.load(stories260k, context=64), bw.load(stories260k, context=64), "a b " * 400, 64, 2)
    assert same.estimate < 1e-9 and str(same).endswith("(too few chunks for an interval)")


def test_plan_and_explain_in_one_call() -> None:
    found = bw.plan("qwen3.5-27b", "3090", "q4_k_m", context=4096)
    (row,) = found["rows"]
    assert row["device"] == "rtx-3090-24gb" and row["recipe"] == "q4_k_m" and row["fits"] is True
    assert len(bw.plan("qwen3.5-27b", ["3090", "4090"])["rows"]) > 4
    assert bw.explain("q4_0", "3090")["format"] == "q4_0"
    assert len(bw.explain("q4_0", ["3090", "4090"])["devices"]) == 2
    with pytest.raises(bw.UnknownNameError):
        bw.plan("qwen3.5-27b", "no such device")
