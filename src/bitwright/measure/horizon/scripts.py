"""Other scripts: short texts in ten languages that are not written in Latin letters, each with a task."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from bitwright.measure.horizon.draw import Draw

DATA = Path(__file__).with_suffix(
    ".json"
)  # by language: `passages` with the numbers {a} and {b} to fill in, and `tasks`


def turns(d: Draw, family: int) -> list[str]:
    """One message: two passages in one language, and a task in it."""
    language = _languages()[family % len(_languages())]
    passages = [text.format(a=d.between(12, 96), b=d.between(2, 9)) for text in d.some(language["passages"], 2)]
    return ["\n\n".join([*passages, d.of(language["tasks"])])]


@functools.cache
def _languages() -> list[dict[str, list[str]]]:
    return list(json.loads(DATA.read_text("utf-8")).values())
