"""`--cache-packed`, and models that memory does not hold."""

from __future__ import annotations

from bitwright.cli import models
from bitwright.hardware import paging


def test_run_keeps_packed_weights(bitwright, small, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    plain = bitwright("run", small, "Once", "--temp", 0, "-n", 8, "--raw")
    assert not (tmp_path / "packed").exists()
    kept = bitwright("run", small, "Once", "--temp", 0, "-n", 8, "--raw", "--cache-packed")
    assert kept.code == 0 and kept.out == plain.out
    assert len(list((tmp_path / "packed").iterdir())) == 1
    assert "packed" in bitwright("list").out
    assert bitwright("rm", "packed", "--yes").code == 0 and not (tmp_path / "packed").exists()


def test_a_model_that_memory_does_not_hold_runs_from_a_file(bitwright, small, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(models, "LARGE", 0)
    plain = bitwright("run", small, "Once", "--temp", 0, "-n", 8, "--raw")
    assert "memory are free" not in plain.err and not (tmp_path / "packed").exists()
    monkeypatch.setattr(paging, "paging", lambda engine: paging.Paging(20 * 10**9, 8 * 10**9, 1.25))
    outcome = bitwright("run", small, "Once", "--temp", 0, "-n", 8, "--raw")
    said = " ".join(outcome.err.split())
    assert "has 20.0 GB of weights, and 8.0 GB of memory are free" in said and "about 1.25 tokens/s" in said
    assert outcome.out == plain.out and len(list((tmp_path / "packed").iterdir())) == 1
