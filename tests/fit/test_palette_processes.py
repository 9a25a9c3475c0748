"""Palettes of several processes: one that is killed, two at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bitwright.fit import entry
from bitwright.fit.palette import Palette
from bitwright.io import gguf
from bitwright.quantizers import Quantizer
from tests.fit.palettes import ALL, built, gathered, written

BUILDER = """
import sys
from types import SimpleNamespace
from pathlib import Path
from bitwright.fit.palette import Palette
from bitwright.io import gguf
from bitwright.quantizers import Quantizer
from tests.fit.palettes import ALL, built, gathered
model, folder = gguf.open(sys.argv[1]), Path(sys.argv[2])
palette = Palette(model, Quantizer(None, 0, gathered(), 1), folder)
print("ready", flush=True)
names = built(SimpleNamespace(setattr=setattr))
palette.build(ALL, lambda *_: print("one", flush=True))
print(len(names), "built")
"""


def started(model: gguf.GGUF, folder: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (root / "src", root, root / "tests")))}
    command = [sys.executable, "-c", BUILDER, str(model.path), str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_that_is_killed_and_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (killed, shared, whole) = written(tmp_path / "m.gguf"), (tmp_path / name for name in ("k", "s", "w"))
    victim, other = started(model, killed), started(model, shared)
    assert [victim.stdout.readline() for _ in range(4)] == ["ready\n", "one\n", "one\n", "one\n"]
    victim.kill()
    victim.communicate()
    (killed / ".bitwright-000000000000.part").write_bytes(b"left by the killed process")
    other.stdout.readline()
    names, quantizer = built(monkeypatch), Quantizer(None, 0, gathered(), 1)
    Palette(model, quantizer, shared).build(reversed(ALL))
    output, _ = other.communicate()
    assert other.returncode == 0
    if sys.platform != "win32":  # which has no locks
        assert f"{len(ALL) - len(names)} built" in output  # each entry by one of the two
    Palette(model, quantizer, whole).build(ALL)
    resumed = Palette(model, quantizer, killed)
    assert all(path.suffix == entry.SUFFIX for path in killed.iterdir()) and resumed.has(*ALL[0])
    resumed.build(ALL)
    assert contents(killed) == contents(shared) == contents(whole)
