"""The default calibration mix: bounded, deterministic, and empty on a machine without documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitwright.calibration import mix
from bitwright.calibration.mix import PIECE, Source
from bitwright.errors import UsageError


def test_the_mix_of_this_machine() -> None:
    found = mix.texts()
    assert found == mix.texts()
    names = [source.name for source, _ in found]
    assert {"Python's standard library", "NumPy's sources"} <= set(names)
    assert all(0 < len(text) < source.characters * 1.1 for source, text in found)
    library = dict(zip(names, (text for _, text in found), strict=True))["Python's standard library"]
    assert len(library) > 90_000 and library.count("import ") > 50


def test_documents_come_from_all_folders(tmp_path: Path) -> None:
    for i in range(100):
        (tmp_path / f"{i:02}").write_text(f"{i:02}\n" + "word\n" * 3 * PIECE)
    (tmp_path / "latin").write_bytes(b"\xe9\n")
    source = Source("s", "l", 10 * PIECE, lambda: [*sorted(tmp_path.iterdir()), tmp_path / "gone", "a text\n"])
    text = mix._taken(source)
    numbers = [int(line) for line in text.splitlines() if line.isdigit()]
    assert 9 * PIECE < len(text) < 10.1 * PIECE and "\ufffd" not in text
    assert len(numbers) == 10 and len({n // 20 for n in numbers}) == 5


def test_a_machine_without_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mix, "SOURCES", (Source("none", "l", PIECE, list),))
    with pytest.raises(UsageError, match="no texts for the default calibration mix: give one with -f FILE"):
        mix.texts()
