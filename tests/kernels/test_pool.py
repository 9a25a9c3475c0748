"""The thread pool, tested in C++ with sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from slow import slow_but

NATIVE = Path(__file__).resolve().parents[2] / "native"
CXX = os.environ.get("CXX", "g++").split()[-1]


@pytest.mark.parametrize("sanitizer", slow_but(["thread"], ["thread", "address,undefined", None]))  # the longest
def test_pool(tmp_path: Path, sanitizer: str | None) -> None:
    if shutil.which(CXX) is None:
        pytest.skip(f"no C++ compiler ({CXX})")
    program = tmp_path / "pool_test"
    flags = ["-std=c++20", "-O1", "-pthread", f"-I{NATIVE}", "-o", str(program)]
    sources = [str(NATIVE / "tests" / "pool_test.cpp"), str(NATIVE / "pool.cpp"), str(NATIVE / "platform.cpp")]
    # A sanitizer's runtime may hold a lock while another thread forks, so fork() is tested without one.
    arguments = [] if sanitizer is None else ["no fork"]
    if sanitizer:
        flags.append(f"-fsanitize={sanitizer}")
        empty = [CXX, flags[-1], "-x", "c++", "-", "-o", os.devnull]
        if subprocess.run(empty, input="int main() {}", text=True, capture_output=True).returncode:
            pytest.skip(f"{CXX} has no {flags[-1]}")
    subprocess.run([CXX, *flags, *sources], check=True)
    result = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=120)
    if "unexpected memory mapping" in result.stderr:
        pytest.skip("ThreadSanitizer does not run on this kernel")
    assert result.returncode == 0, result.stderr
    assert "WARNING: ThreadSanitizer" not in result.stderr
