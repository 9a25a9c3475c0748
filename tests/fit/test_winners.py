"""benchmarks/fit_winners.py measures the winners of a history on text that the search did not read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bitwright as bw
from bitwright.fit import gathering
from bitwright.fit.history import encoded
from bitwright.fit.settings import Fitted, Settings
from bitwright.model.model import load

SCRIPT = Path(__file__).parents[2] / "benchmarks/fit_winners.py"


def test_winners_are_measured_on_each_text(
    fitted: Fitted, settings: Settings, stories260k: Path, fit_cache: Path, tmp_path: Path
) -> None:
    """A winner that is the seed with its last tensor in another format that was built."""
    assert fitted.history is not None
    history = json.loads(json.dumps(fitted.history))
    seed, model = history["tried"][0], load(stories260k)
    usable = [n for n, cost in enumerate(history["cost"][-1]) if cost is not None]
    other = next(n for n in usable if str(n) != seed["levels"][-1])
    history["tried"].append({**seed, "levels": seed["levels"][:-1] + encoded((other,)), "outcome": "not confirmed"})
    (tmp_path / "history.json").write_text(json.dumps(history))
    (tmp_path / "text.txt").write_text(settings.search[0][1])
    stats = gathering.place(model, gathering.cut(model, settings.search), settings.seed)
    command = [sys.executable, SCRIPT, "--model", stories260k, "--stats", fit_cache / "statistics" / stats.name,
               "--history", tmp_path / "history.json", "-s", tmp_path / "text.txt", "-f", tmp_path / "text.txt",
               "--chunks", "3", "-t", "1"]  # fmt: skip
    env = os.environ | {"PYTHONPATH": str(Path(bw.__file__).parents[1]), "BITWRIGHT_CACHE": str(fit_cache)}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()[:2]
    assert "where it raced" in header and "all unread" in header
    assert row.startswith("1: not confirmed") and "+0.0%" in row, "it raced with the seed's own scores"
