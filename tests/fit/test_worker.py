"""What a worker opens and refuses, and scores and tensors of workers in this process: those of one machine."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright import kernels
from bitwright.errors import BitwrightError, UnknownNameError
from bitwright.fit.cluster import Cluster, RayScorer
from bitwright.fit.worker import Files, Worker
from tests.fit.searches import CHUNKS, TOKENS, Case, Here, made


def scorer_of(case: Case, nodes: Here, **options: Any) -> RayScorer:
    cluster = Cluster(nodes, case.palette(), case.statistics)
    return RayScorer(cluster, case.engine, case.choices, TOKENS, folder=case.folder / "references", **options)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made(tmp_path_factory.mktemp("search"), statistics=True)


def test_scores_are_those_of_one_machine(case: Case) -> None:
    """With one to five workers, some of which die, for any parent and in any order."""
    expected, candidates = case.scores(), case.candidates
    for count, deaths in ((1, ()), (2, ()), (5, ()), (3, (8, 12, 14))):
        scorer = scorer_of(case, Here(count, deaths))
        assert scorer.chunks == len(TOKENS)
        assert np.array_equal(scorer.score(candidates, CHUNKS, candidates[0]), expected)
        assert np.array_equal(scorer.score(candidates[::-1], [3, 0, 2], candidates[2]), expected[::-1, [3, 0, 2]])
        assert np.array_equal(scorer.score(candidates[1:2], [2], candidates[1]), expected[1:2, [2]])
        assert scorer.score([], [0], candidates[0]).shape == (0, 1)
        assert scorer.score(candidates, [], candidates[0]).shape == (len(candidates), 0)
    assert len(np.unique(expected)) == expected.size


def test_two_scorers_may_take_turns(case: Case) -> None:
    cluster = Cluster(Here(2), case.palette(), case.statistics)
    folder, candidates = case.folder / "references", case.candidates
    scorers = {
        objective: RayScorer(cluster, case.engine, case.choices, TOKENS, objective, folder)
        for objective in ("mean", "tail")
    }
    for objective in ("tail", "mean", "tail"):
        found = scorers[objective].score(candidates, CHUNKS, candidates[0])
        assert np.array_equal(found, case.scores(objective=objective))


def test_tensors_are_those_of_one_machine(case: Case) -> None:
    """Those with second moments too; and each is built once, in a folder that all share."""
    shared, own = case.palette("shared"), case.palette("own palette")
    notes: list[tuple[float, float | None, str]] = []
    with Cluster(Here(3), shared, case.statistics) as cluster:
        cluster.build(case.pairs, lambda *note: notes.append(note))
        built = {path: path.stat().st_mtime_ns for path in shared.folder.iterdir()}
        cluster.build(case.pairs)
    own.build(case.pairs)
    assert {path: path.stat().st_mtime_ns for path in shared.folder.iterdir()} == built
    assert len(built) == len(case.pairs)
    for name, format in case.pairs:
        assert shared.has(name, format)
        assert np.array_equal(shared.tensor(name, format).data, own.tensor(name, format).data)
        assert shared.objective(name, format) == own.objective(name, format)
    assert len(notes) == len(case.choices.tensors)
    assert notes[-1][0] == pytest.approx(notes[-1][1])


def test_the_reference_is_computed_by_workers(case: Case) -> None:
    notes: list[str] = []
    cluster = Cluster(Here(2), case.palette(), case.statistics)
    scorer = RayScorer(cluster, case.engine, case.choices, TOKENS, folder=case.folder / "fresh")
    scorer.prepare(progress=lambda done, total, note: notes.append(note))
    assert len(list((case.folder / "fresh").iterdir())) == len(TOKENS)
    assert notes[-1] == "reference, chunk 4 of 4"


def test_a_tier_that_all_have_is_used_and_said(case: Case) -> None:
    scorer = scorer_of(case, Here(2, about={"tiers": ["scalar"], "host": "old", "arithmetic": "other"}))
    assert scorer.tier == "scalar"
    assert np.array_equal(scorer.score(case.candidates, CHUNKS, case.candidates[0]), case.scores("scalar"))
    line, best = "all workers score on tier scalar, the best that old has; this machine has", kernels.tier()
    about = "old has another processor: scores may differ from this machine's in their last digits"
    assert scorer.cluster.warnings == (*([f"{line} {best}"] if best != "scalar" else []), about)
    with pytest.raises(BitwrightError, match=r"^old has none of this machine's CPU tiers: .*scalar"):
        scorer_of(case, Here(1, about={"tiers": ["riscv"], "host": "old"}))


def test_wrong_files_are_refused(case: Case, tmp_path: Path) -> None:
    files = Files(str(case.model.path), case.model.sha256(), None, None, None, 1, str(tmp_path))

    def error(**changed: Any) -> str:
        answer = Worker(1).answer("open", asdict(replace(files, **changed)))
        return answer.get("error", "none")

    assert error() == "none"
    assert str(tmp_path / "absent.gguf") in error(model=str(tmp_path / "absent.gguf"))
    assert f"model.gguf: expected the file that the search was started on, SHA-256 {12 * '0'}..." in error(
        model_sha256=64 * "0"
    )
    assert f"SHA-256 {12 * '0'}" in error(statistics=str(case.statistics), statistics_sha256=64 * "0")
    assert "absent.stats" in error(statistics=str(tmp_path / "absent.stats"), statistics_sha256=64 * "0")
    assert error(version="0.0.1").startswith("expected bitwright 0.0.1, as where the search was started, found")


def test_wrong_jobs_are_refused(case: Case) -> None:
    scorer = scorer_of(case, Here(1))
    [member] = scorer.cluster.team.members
    begin = scorer.cluster.team.steps[-1].arguments
    assert member.worker.answer("score", 64 * "0", [], [], [])["error"].startswith("expected a job of search ")
    changed = TOKENS.tobytes()[::-1]
    assert hashlib.sha256(changed).hexdigest() in member.worker.answer("begin", begin[0], changed)["error"]
    riscv = member.worker.answer("begin", begin[0] | {"tier": "riscv"}, begin[1])
    assert riscv["error"].startswith("the search runs on tier riscv; here there is ")
    with pytest.raises(UnknownNameError, match="objective"):
        scorer_of(case, Here(1), objective="median")
