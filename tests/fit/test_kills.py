"""A killed fit, run again, writes the file of an undisturbed one; benchmarks/fit_kills.py does it more often.

Whole fits in processes of their own are for CI; test_run.py and test_run_again.py interrupt one in this process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bitwright as bw
from bitwright.measure import standard_text

SCRIPT = Path(__file__).parents[2] / "benchmarks/fit_kills.py"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the script kills process groups")
def test_a_killed_fit_goes_on_to_the_same_file(stories260k: Path, tmp_path: Path) -> None:
    texts = (tmp_path / "search.txt", tmp_path / "other.txt")
    for number, text in enumerate(texts):
        text.write_text(standard_text.read()[8000 * number : 8000 * (number + 1)])
    command = [sys.executable, SCRIPT, stories260k, "-f", texts[0], "--held-out", texts[1], "--kills", "2", "--each",
               "2", "--evaluations", "16", "--stages", "searching,writing the file"]  # fmt: skip
    env = os.environ | {"PYTHONPATH": str(Path(bw.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = r"^2 kills: .*\n(\d) of \1 files equal the undisturbed one; left behind: nothing$"
    assert re.search(lines, done.stdout, re.MULTILINE)
