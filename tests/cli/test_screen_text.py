"""Text as lines of a screen: the same in whatever pieces it came, and each part laid out once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from bitwright.cli.screen import markdown
from bitwright.cli.screen.markdown import Markdown
from bitwright.cli.screen.prose import Prose

SOURCE = "\n".join(f"def f{i}():\n    return {i}\n" + "\n" * (i % 7 == 0) for i in range(50))
TEXTS = {
    "page": (Path(__file__).parents[2] / "docs/start.md").read_text(encoding="utf-8")[:2000],
    "code": f"Before\n\n```python\n{SOURCE}```\n\nAfter\n\n~~~\n{SOURCE}",
    "lists": "1. one\n2. two\n   - inner\n\n     text\n3. three\n* other\n\n* loose\n\n> quote\n> more\n\n---\nend",
    "odd": "#\n#no\ntext\n===\n<b>tag</b>\n[a]: http://b\n| a | b |\n|---|---|\n| 1 | 2 |\nx\n\n\n\n    code\n\n\tmore",
}


def lines(found: Prose, width: int = 60) -> list[str]:
    return ["".join(text for _, text in line) for line in found.lines(width)]


def fed(kind: type[Prose], pieces: Sequence[str], looked_at: float) -> Prose:
    """All pieces, laid out after a share of them as the screen does."""
    found, dice = kind(), random.Random(len(pieces))
    for piece in pieces:
        found.feed(piece)
        if dice.random() < looked_at:
            found.lines(60)
    found.finish()
    return found


@pytest.mark.parametrize("kind", [Markdown, Prose])
@pytest.mark.parametrize("name", TEXTS)
def test_pieces_make_no_difference(name: str, kind: type[Prose]) -> None:
    text, dice = TEXTS[name], random.Random(1)
    whole = fed(kind, [text], 0)
    cuts = [0, *sorted(dice.sample(range(1, len(text)), min(len(text) // 2, 60))), len(text)]
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    for looked_at in (0.1, 1.0):
        found = fed(kind, pieces, looked_at)
        assert found.units == whole.units and lines(found) == lines(whole)
    assert max(map(len, lines(whole, 30))) <= 30


@pytest.mark.parametrize("name", ["code", "odd"])
def test_no_word_is_lost(name: str) -> None:
    """Tags and link definitions, too, which Markdown hides."""
    shown = " ".join(lines(fed(Markdown, [TEXTS[name]], 0))).split()
    marks = {"```python", "```", "~~~", "#", "===", "|", "|---|---|"}
    assert [word for word in TEXTS[name].split() if word not in {*marks, *shown}] == []
    if name == "code":
        assert shown.count("return") == 100


def test_each_unit_is_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work grows with the text, not with its square: no more than a unit is laid out again."""
    sizes: list[int] = []
    laid_out = markdown.laid_out
    monkeypatch.setattr(markdown, "laid_out", lambda document, width: sizes.append(1) or laid_out(document, width))
    biggest = []
    for repeats in (1, 3):
        found, text = Markdown(), (f"```python\n{SOURCE}```\n\n" + "- item\n" * 30 + "\nwords\n\n") * repeats
        sizes.clear()
        for at in range(0, len(text), 80):
            found.feed(text[at : at + 80])
            found.lines(60)
        found.finish()
        assert len(sizes) <= len(text) / 80 + 1 + len(found.units)
        biggest.append(max(unit.text.count("\n") for unit in found.units))
    assert max(biggest) <= markdown.MOST_CODE + 3
