"""Runs the fuzz target of the GGUF reader for a while: BITWRIGHT_FUZZ_SECONDS, by default 60 in CI and 5 elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("fuzz_gguf.py")
SECONDS = int(os.environ.get("BITWRIGHT_FUZZ_SECONDS") or (60 if os.environ.get("CI") else 5))


def fuzz(corpus: Path, *flags: str, target: Path = TARGET) -> subprocess.CompletedProcess:
    command = [sys.executable, target, corpus, f"-artifact_prefix={corpus}/", *flags]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    pytest.importorskip("atheris", reason="atheris is not installed (pip install 'bitwright[fuzz]')")
    return tmp_path


@pytest.mark.timeout(SECONDS + 240)
def test_no_input_breaks_the_reader(corpus: Path, data: Path) -> None:
    for case in (data / "gguf-cases").glob("*.gguf"):
        shutil.copyfile(case, corpus / case.name)
    done = fuzz(corpus, f"-max_total_time={SECONDS}", "-max_len=4096", "-print_final_stats=1", "-use_value_profile=1")
    print(done.stderr[-2000:])
    assert done.returncode == 0, done.stderr[-4000:]
    runs = next(int(line.split()[-1]) for line in done.stderr.splitlines() if "number_of_executed_units" in line)
    assert runs > 1000


@pytest.mark.parametrize(("mistake", "finding"), [("int('x')", "ValueError"), ("bytes(260 << 20)", "MemoryError")])
def test_the_target_sees_mistakes(corpus: Path, mistake: str, finding: str) -> None:
    """A reader that raises something else, or uses too much memory, is reported."""
    code = TARGET.read_text().replace("        file = gguf", f"        {mistake}\n        file = gguf")
    (corpus / "broken.py").write_text(code)
    (corpus / "seeds").mkdir()
    done = fuzz(corpus / "seeds", "-max_total_time=60", "-runs=100", target=corpus / "broken.py")
    assert done.returncode != 0 and finding in done.stderr + done.stdout
