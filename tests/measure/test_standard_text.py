"""The text that models are measured on by default: fixed, of several kinds, and apart from calibration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bitwright.calibration import mix
from bitwright.errors import BitwrightError
from bitwright.measure import standard_text

RUN = 8


def runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[i:] for i in range(RUN)), strict=False))


def test_the_text_is_the_published_one() -> None:
    text = standard_text.read()
    assert 90_000 < len(text.encode()) < 110_000
    documents = text.split("<|endoftext|>")
    assert len(documents) == 53 and all(400 < len(document) < 3000 for document in documents)
    for sign in ("def ", "#include", " und ", " qui ", "Dear Thomas"):
        assert sign in text
    page = (Path(standard_text.__file__).parent / "data/README.md").read_text("utf-8")
    assert standard_text.SHA256 in page and standard_text.LICENCE in page


def test_another_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard_text, "SHA256", "0" * 64)
    with pytest.raises(BitwrightError, match="text is damaged: expected SHA-256 0000.*, got 3ea5"):
        standard_text.read()


def test_calibration_never_sees_it() -> None:
    own = runs(standard_text.read())
    for source, text in mix.texts():
        assert not own & runs(text), source.name
