"""Every script under benchmarks/ starts: what it imports is there, and it knows its arguments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import bitwright

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = [path for path in sorted(BENCHMARKS.glob("*.py")) if "__main__" in path.read_text(encoding="utf-8")]
PROGRAM = """
import contextlib, runpy, sys
path = [sys.argv[1], *sys.path]
for script in sys.argv[2:]:
    sys.path[:], sys.argv = path, [script, "--help"]
    with contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
"""


def test_every_script_shows_its_help() -> None:
    """All in one process: most of the time goes into imports, which they share."""
    env = os.environ | {"PYTHONPATH": str(Path(bitwright.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, BENCHMARKS, *SCRIPTS], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    helped = re.findall(r"^usage: (\S+)", done.stdout, re.MULTILINE)
    assert helped == [path.name for path in SCRIPTS] and len(SCRIPTS) > 40
