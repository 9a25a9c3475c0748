"""What a person reads after a fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from fit.results import result, small_model

from bitwright.cli import fit_table
from bitwright.views.fit import fitted


def test_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model(tmp_path / "small.f16.gguf")
    fit_table.show(fitted(result(model, Path("out.gguf"), warnings=("little text",))))
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "out.gguf: clearly damaged: one token in eight is another"
    assert "attn_v            7         8.50  15.2 kB  7 q8_0" in lines
    assert any(line.split() == ["output", "1", "8.50", "10.9", "kB", "q8_0"] for line in lines)
    front = [line.split() for line in lines if line.endswith(("this file", "predicted"))]
    assert [row[1:] for row in front] == [["0.08000", "41.2", "this", "file"], ["0.01000", "30", "predicted"]]
    assert "warning: little text" in said.out
    assert "wrote out.gguf" in said.out and "12.6 minutes" in said.out
    assert "peak memory 1.0 GB, 500.0 MB of disk for the next search" in said.err
    assert 'next: bitwright run out.gguf "Hello"' in said.err and "interrupted" not in said.err


def test_an_interrupted_search_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model(tmp_path / "small.f16.gguf")
    fit_table.show(fitted(result(model, Path("out.gguf"), measured=None, interrupted=True, front=(), disk_bytes=0)))
    said = capsys.readouterr()
    assert "the same command goes on" in said.err and "disk" not in said.err and "this file" not in said.out
