"""What the explorer knows of where a model needs its bits: a history, checked against the model, or a survey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bitwright.errors import UsageError
from bitwright.fit import known
from bitwright.io import gguf
from bitwright.io.gguf import GGUF

SEED = {"levels": "", "parent": 0, "origin": "seed", "generation": 0, "gain": None, "chunks": [0], "scores": [0.1],
        "outcome": "seed"}  # fmt: skip


@pytest.fixture(scope="module")
def file(stories260k: Path) -> GGUF:
    return gguf.open(stories260k)


@pytest.fixture(scope="module")
def survey(file: GGUF) -> dict[str, Any]:
    return known.surveyed(file, 1)


@pytest.fixture
def history(survey: dict[str, Any]) -> dict[str, Any]:
    """A history of the model."""
    levels = "".join("0" if row[0] else str(next(n for n, b in enumerate(row) if b)) for row in survey["bytes"])
    return json.loads(json.dumps(survey | {"tried": [SEED | {"levels": levels}]}))


def read(tmp_path: Path, file: GGUF, data: Any) -> dict[str, Any]:
    path = tmp_path / "history.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return dict(known.known(file, path))


def test_a_survey_gives_relative_errors(survey: dict[str, Any], file: GGUF) -> None:
    eight, four = (survey["formats"].index(name) for name in ("q8_0", "q4_0"))
    fitting = [row for row in survey["cost"] if row[four] is not None]  # the others' rows are no whole blocks
    assert len(fitting) > len(survey["cost"]) / 2
    for row in fitting:
        assert 0 < row[eight] < row[four] < 0.1
    known.check(survey)


def test_a_history_of_the_model_is_read(tmp_path: Path, file: GGUF, history: dict[str, Any]) -> None:
    found = read(tmp_path, file, history | {"sha256": file.sha256()})
    assert found["source"] == "history" and found["cost"] == history["cost"] and found["tried"] == history["tried"]


def test_a_history_of_another_model_is_refused(tmp_path: Path, file: GGUF, history: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is the history of another model, of a file with SHA-256 00: stories260K"):
        read(tmp_path, file, history | {"sha256": "00"})
    other = {"sha256": file.sha256(), "tensors": ["x", *history["tensors"][1:]]}
    with pytest.raises(UsageError, match="is the history of another model"):
        read(tmp_path, file, history | other)
    with pytest.raises(UsageError, match="does not say which model it is of: let fit write it anew"):
        read(tmp_path, file, history)


DAMAGE: list[Any] = [
    "{", "[]", "3", '{"tensors": []}', {"formats": ["q9"]}, {"bytes": [[1]]}, {"cost": 3}, {"best": 5}, {"best": "0"},
    {"tried": [SEED]}, {"tried": [{}]}, {"tried": [3]}, {"tensors": {"a": 1}}, {"cost": [["x"]]}, {"cost": []},
    "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda d: str(d)[:20])
def test_other_files_are_refused_in_one_line(tmp_path: Path, file: GGUF, history: dict[str, Any], damage: Any) -> None:
    with pytest.raises(UsageError, match="expected a history that fit wrote, found") as error:
        read(tmp_path, file, history | damage if isinstance(damage, dict) else damage)
    assert "\n" not in str(error.value)


def test_a_tensor_without_a_format_is_refused(tmp_path: Path, file: GGUF, history: dict[str, Any]) -> None:
    none = [[None] * len(history["formats"]), *history["cost"][1:]]
    with pytest.raises(UsageError, match="expected a format that can be used for every tensor"):
        read(tmp_path, file, history | {"cost": none})


def test_a_missing_file_is_said(tmp_path: Path, file: GGUF) -> None:
    with pytest.raises(UsageError, match="cannot read .*none.json: No such file"):
        known.known(file, tmp_path / "none.json")


def test_the_package_holds_one_of_the_built_in_model(smollm2: Path) -> None:
    found = known.known(gguf.open(smollm2), None)
    known.check(found)
    assert found["source"] == "built-in" and {"q4_k_m", "q8_0"} <= found["presets"].keys()
