"""`benchmarks/horizon.py`: which pairs of files KL and horizon rank differently, and what the intervals let it say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright.measure.horizon import prompts
from bitwright.measure.horizon.prompts import Item

SCRIPT = Path(__file__).parents[1] / "benchmarks/horizon.py"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("horizon_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_a_pair_is_reversed_only_where_the_intervals_say_so(benchmark) -> None:
    random, n = np.random.default_rng(0), 60
    noise = random.normal(0, 1, n)
    rows = [
        benchmark.Row("q4_0", "rtn", 4.5, 0.10 + 0.01 * noise, 12 + noise, noise),
        benchmark.Row(
            "q4_1", "rtn", 5.0, 0.12 + 0.01 * noise, 14 + noise, noise
        ),  # higher KL, longer horizon: for sure
        benchmark.Row("q5_0", "rtn", 5.5, 0.02 + 0.01 * noise, 20 + noise, noise),
        benchmark.Row("q5_1", "rtn", 6.0, 0.03 + 0.01 * noise, 20.01 + random.normal(0, 3, n), noise),  # a hair longer
    ]
    found = benchmark.pairs(rows)
    reversed_ = {(pair.lower.recipe, pair.other.recipe): pair.sure for pair in found if pair.reversed}
    assert reversed_[("q4_0", "q4_1")] == ["KL", "horizon"]
    assert reversed_.get(("q5_0", "q5_1"), ["KL"]) == ["KL"]
    assert "by KL is sure in 6 pairs" in benchmark.counted(found)
    assert "in 1 of these they differ" in benchmark.counted(found)
    assert "beyond doubt, on the same text" in benchmark.meaning(found)
    assert "no pair is ranked differently beyond doubt" in benchmark.meaning(benchmark.pairs(rows[1:3]))
    same = benchmark.Row("q4_k", "search", 4.5, rows[0].divergence, rows[0].aligned, noise)
    assert not benchmark.pairs([rows[0], same]), "equal files are no pair"


def test_it_resumes_and_shows_what_is_done(benchmark, stories260k, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    items = tuple(Item("code", n, (f"Once upon a time {n} cats",)) for n in range(10))
    monkeypatch.setattr(prompts, "first", lambda each: items[:each])
    work = tmp_path / "work"
    arguments = ["horizon.py", "--model", str(stories260k), "--prompts", "10", "--threads", "1", "--work", str(work)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--recipes", "q8_0,q4_0", "--methods", "rtn"])
    benchmark.main()
    kept = {path: path.stat().st_mtime_ns for path in work.iterdir()}
    assert len(kept) == 2 and "candidate.gguf" not in map(str, kept)
    monkeypatch.setattr(sys, "argv", [*arguments, "--recipes", "q8_0,q4_0,q2_k", "--done", "--ends", str(stories260k)])
    benchmark.main()
    assert {path: path.stat().st_mtime_ns for path in work.iterdir()} == kept
    shown = capsys.readouterr().out
    assert "| q4_0 | llama.cpp's |" in shown and "q2_k" not in shown and "of 1 pairs" in shown
