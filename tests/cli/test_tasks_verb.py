"""`bitwright tasks`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli.support import Outcome

import bitwright as bw


@pytest.fixture(scope="module")
def small(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "smollm2.q2_k.gguf"
    bw.quantize(smollm2, "q2_k", target, method="rtn")
    return target


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    path = tmp_path / "capitals.jsonl"
    rows = [("France", "Paris", "Rome"), ("Italy", "Rome", "Oslo"), ("Norway", "Oslo", "Madrid")]
    items = [{"query": f"The capital of {a} is", "choices": [b, c], "gold": 0} for a, b, c in rows]
    path.write_text("\n".join(map(json.dumps, items)))
    return path


def test_one_model(bitwright: Callable[..., Outcome], smollm2: Path, capitals: Path) -> None:
    flags = ("tasks", smollm2, "--tasks", capitals, "-c", 256)
    found = bitwright(*flags, "--json").json
    assert found["tasks"][0]["right"] == [True] * 3 and found["tasks"][0]["acc_norm"]["mean"] == 1
    assert "chains" not in found
    line = bitwright(*flags).out.splitlines()[1].split()
    assert line[:4] == ["capitals", "3", "acc_norm", "100.0"]
    assert bitwright(*flags, "--limit", 2, "-s", 1, "--json").json["tasks"][0]["items"] == 2


def test_against_a_reference(
    bitwright: Callable[..., Outcome], smollm2: Path, small: Path, capitals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRIED", "SINGLES"):  # enough to show that chains run
        monkeypatch.setattr(f"bitwright.measure.chains.scoring.{name}", 1)
    flags = ("tasks", small, "--reference", smollm2, "-c", 320, "-L", 2, "--seed", 4)
    found = bitwright(*flags, "--tasks", f"{capitals},chains:grid", "--json").json
    task = found["tasks"][0]
    assert task["lost"] == 2 - sum(task["right"]) and task["won"] == 0
    (chain,) = found["chains"]
    assert (chain["family"], chain["success"]["runs"], found["seed"]) == ("grid", 2, 4)
    assert chain["success"]["survival"][0] == [0, 1.0] and chain["disagreements"] == 0
    assert chain["loss_change"]["value"] != 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("chains:dancing", "unknown kind of chain 'dancing'"),
        (",", "--tasks names nothing"),
        ("nowhere.jsonl", "nowhere.jsonl: No such file or directory"),
    ],
)
def test_wrong_names(bitwright: Callable[..., Outcome], smollm2: Path, names: str, message: str) -> None:
    outcome = bitwright("tasks", smollm2, "--tasks", names)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1


def test_a_context_that_is_too_short_names_what_to_do(
    bitwright: Callable[..., Outcome], stories260k: Path, tmp_path: Path
) -> None:
    """A model of 512 tokens: -c cannot be raised."""
    written, chosen = tmp_path / "written.jsonl", tmp_path / "chosen.jsonl"
    written.write_text('{"context": "How many?", "answer": "3"}\n' * 3)
    chosen.write_text(json.dumps({"query": "word " * 600, "choices": ["a", "b"], "gold": 0}))

    def refused(*flags: object) -> str:
        outcome = bitwright("tasks", stories260k, *flags)
        assert outcome.code == 2 and outcome.err.count("\n") == 1
        return outcome.err

    assert "write shorter answers (-n), or take a model with a longer context" in refused("--tasks", written, "-n", 600)
    assert "show fewer examples (-s), write" in refused("--tasks", written, "-n", 500, "-s", 2)
    assert "show fewer examples (-s) or take a model with a longer one" in refused("--tasks", chosen)
    assert "raise -c" in refused("--tasks", chosen, "-c", 256)
    assert "run other chains, such as chains:pointers" in refused("--tasks", "chains:copying", "-L", 4)


def test_the_table_of_chains(capsys: pytest.CaptureFixture[str]) -> None:
    """A model that solves each step with a chance of 0.5 is compared with one that never fails."""
    from bitwright.cli.tasks_table import show
    from bitwright.measure.chains.running import TeacherForced
    from bitwright.measure.chains.scoring import ChainScore

    random = np.random.default_rng(0)

    def score(right: float, count: int = 40) -> ChainScore:
        def chains(steps: int) -> list[TeacherForced]:
            return [TeacherForced(random.random(steps) < right, np.zeros(steps)) for _ in range(count)]

        return ChainScore("grid", 2, 4, chains(1), chains(4))

    show([], [[score(0.5)], [score(1.0)]])
    header, row, words = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "chain" and row.split()[:2] == ["grid", "2"] and "never" in row
    assert words.startswith("over all chains the horizon is 0.00 times the reference's (0.00 to ")
    show([], [[score(0.5, 9)], [score(1.0, 9)]])
    _, row, words = capsys.readouterr().out.splitlines()
    assert "too few chains" in row and words.endswith("times the reference's (too few chains)")
