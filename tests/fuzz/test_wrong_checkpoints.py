"""No value in a checkpoint's JSON files, of whatever type, ends in anything but one line that says what is wrong."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
from wrong_configs import POISONS

from bitwright.errors import BitwrightError
from bitwright.model.conversion.checkpoint import Checkpoint

CASES = ("llama-untied-llama3", "qwen2-tied-yarn", "phi4-untied-longrope", "gemma3-windows-linear")
TRIALS = 50  # of each case
LONG = 40  # entries of a list or an object of which only some are tried


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value could be replaced: the whole, and every part of every part."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(parts)[:LONG]:
        yield from places(part, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], poison: Any) -> Any:
    if not path:
        return poison
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], poison)
    return copy


@pytest.mark.parametrize("case", CASES)
def test_every_wrong_value_is_refused_in_one_line_or_harmless(tmp_path: Path, case: str) -> None:
    folder, rng, refused = tiny_checkpoints.write(case, tmp_path / case), random.Random(19), 0
    files = {path: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    chosen = {path: sorted(places(content), key=str) for path, content in files.items()}
    for _ in range(TRIALS):
        path = rng.choice(list(files))
        place, poison = rng.choice(chosen[path]), rng.choice(list(POISONS))
        path.write_text(json.dumps(replaced(files[path], place, POISONS[poison])))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                Checkpoint(folder)
            except BitwrightError as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 1500, (path.name, place, poison)
            except Exception as error:
                raise AssertionError(f"{path.name} {place} {poison}: {type(error).__name__}: {error}") from error
        path.write_text(json.dumps(files[path]))
    assert refused > TRIALS / 4
