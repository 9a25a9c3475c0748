"""Jobs over workers that are slow, die, fail or cannot start; without Ray and without models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from bitwright.errors import BitwrightError
from bitwright.fit import dispatch
from bitwright.fit.dispatch import Job, Lost, Team
from bitwright.fit.worker import Answer, plain

Serve = Callable[[str, str, Sequence[Any]], Answer]


class Calls:
    """Nodes whose calls end in random order; `serve` (node, method, arguments) answers them, or raises Lost."""

    def __init__(self, nodes: Mapping[str, int], serve: Serve, seed: int = 0, stuck: Sequence[str] = ()) -> None:
        self.nodes, self.serve, self.stuck = dict(nodes), serve, set(stuck)
        self.random = np.random.default_rng(seed)
        self.served: list[tuple[str, str]] = []
        self.stopped: list[str] = []

    def alive(self) -> Mapping[str, int]:
        return self.nodes

    def start(self, node: str, threads: int) -> list[str]:
        return [node]

    def call(self, worker: list[str], method: str, arguments: Sequence[Any]) -> tuple[str, str, Sequence[Any]]:
        plain(arguments)
        return worker[0], method, arguments

    def share(self, data: bytes) -> bytes:
        return data

    def finished(self, calls: Sequence[Any], seconds: float) -> Sequence[Any]:
        free = [call for call in calls if call[0] not in self.stuck]
        return [free[self.random.integers(len(free))]] if free else []

    def answer(self, call: tuple[str, str, Sequence[Any]]) -> Answer:
        self.served.append(call[:2])
        return {"value": {"host": f"host-{call[0]}"}} if call[1] == "hello" else self.serve(*call)

    def stop(self, worker: list[str]) -> None:
        self.stopped.append(worker[0])


def squares(node: str, method: str, arguments: Sequence[Any]) -> Answer:
    return {"value": arguments[0] ** 2} if method == "square" else {"value": None}


def jobs(count: int) -> list[Job]:
    return [Job("square", (number,), number) for number in range(count)]


def team_of(nodes: Calls, **options: float) -> Team:
    team = Team(nodes, **options)
    team.prepare([Job("open", ())])
    return team


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "PAUSE", 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_values_come_in_the_order_of_jobs(seed: int) -> None:
    nodes = Calls({"a": 1, "b": 4, "c": 2}, squares, seed)
    ended: list[int] = []
    assert team_of(nodes).run(jobs(20), ended.append) == [number**2 for number in range(20)]
    assert sorted(ended) == list(range(20))
    assert {node for node, method in nodes.served if method == "square"} == {"a", "b", "c"}


def test_a_job_runs_at_home_while_others_have_work() -> None:
    taken: list[tuple[str, int]] = []

    def serve(node: str, method: str, arguments: Sequence[Any]) -> Answer:
        taken.extend((node, number) for number in arguments)
        return squares(node, method, arguments)

    team = team_of(Calls({"a": 1, "b": 1}, serve))
    for _ in range(3):
        team.run(jobs(2))
    assert set(taken) == {("a", 0), ("b", 1)}


@pytest.mark.parametrize("seed", range(5))
def test_a_job_whose_worker_died_runs_elsewhere(seed: int) -> None:
    """Workers of one node die at job 3: it goes to the other node, and the node gets a new worker, three times."""

    def serve(node: str, method: str, arguments: Sequence[Any]) -> Answer:
        if node == "a" and arguments and arguments[0] == 3:
            raise Lost("killed")
        return squares(node, method, arguments)

    nodes = Calls({"a": 1, "b": 1}, serve, seed)
    team = team_of(nodes)
    assert team.run(jobs(8)) == [number**2 for number in range(8)]
    assert nodes.stopped in ([], ["a"])
    for _ in range(20):
        team.run([Job("square", (3,), 0)] * 3)
    assert nodes.stopped == 3 * ["a"]  # and no fourth worker
    assert team.warnings == ["host-a is left out: 3 workers died there, the last so: killed"]


def test_a_node_that_vanished_gets_no_worker() -> None:
    def serve(node: str, method: str, arguments: Sequence[Any]) -> Answer:
        if node == "a" and arguments:
            nodes.nodes.pop("a", None)
            raise Lost("the node died")
        return squares(node, method, arguments)

    nodes = Calls({"a": 1, "b": 1}, serve)
    team = team_of(nodes)
    assert team.run(jobs(6)) == [number**2 for number in range(6)]
    assert [member.node for member in team.members] == ["b"]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_job_that_fails_three_times_ends_the_run(count: int) -> None:
    def serve(node: str, method: str, arguments: Sequence[Any]) -> Answer:
        if arguments and arguments[0] == 2:
            return {"error": f"no space left on {node}"}
        return squares(node, method, arguments)

    nodes = Calls(dict.fromkeys("abcd"[:count], 1), serve)
    team = team_of(nodes)
    with pytest.raises(BitwrightError, match=r"^a job failed 3 times, at last on host-.: no space left on .$"):
        team.run(jobs(4))
    assert team.run([Job("square", (7,))] * 9) == [49] * 9  # jobs left over from before do not disturb the next run


def test_a_node_that_joins_later_is_used() -> None:
    nodes = Calls({"a": 1}, squares)
    team = team_of(nodes)
    nodes.nodes["b"] = 8
    team.run(jobs(30))
    assert ("b", "square") in nodes.served
    assert nodes.served.index(("b", "hello")) < nodes.served.index(("b", "open")) < nodes.served.index(("b", "square"))


def test_nodes_that_cannot_serve_are_left_out_and_said() -> None:
    def serve(node: str, method: str, arguments: Sequence[Any]) -> Answer:
        return (
            {"error": "m.gguf: no such file"} if node != "b" and method == "open" else squares(node, method, arguments)
        )

    nodes = Calls({"a": 1, "b": 1}, serve)
    team = team_of(nodes)
    assert team.run(jobs(3)) == [0, 1, 4]
    assert team.warnings == ["host-a is left out: m.gguf: no such file"]
    with pytest.raises(BitwrightError, match=r"^no worker is left: host-c is left out: m.gguf: no such file$"):
        team_of(Calls({"c": 1}, serve))
    with pytest.raises(BitwrightError, match="no worker is left: the cluster has no processors"):
        team_of(Calls({}, serve))


def test_a_node_that_does_not_start_is_not_waited_for() -> None:
    nodes = Calls({"a": 1, "b": 1}, squares, stuck="b")
    team = team_of(nodes, grace=0.0)
    assert team.run(jobs(3)) == [0, 1, 4]
    nodes.stuck.clear()
    team.run(jobs(30))
    assert ("b", "square") in nodes.served
    with pytest.raises(BitwrightError, match="no worker started in 0 s: are all processors of the cluster in use"):
        team_of(Calls({"a": 1}, squares, stuck="a"), patience=0.0)


def test_steps_are_replaced_for_all_and_taken_by_new_workers() -> None:
    nodes = Calls({"a": 1, "b": 1}, squares)
    team = team_of(nodes)
    team.prepare([Job("begin", (1,))], after=2)
    team.prepare([Job("resume", (2,))], after=2)
    nodes.nodes["c"] = 1
    team.run(jobs(30))
    steps = {node: [method for own, method in nodes.served if own == node and method != "square"] for node in "abc"}
    assert steps == {
        "a": ["hello", "open", "begin", "resume"],
        "b": ["hello", "open", "begin", "resume"],
        "c": ["hello", "open", "resume"],
    }
    team.close()
    assert sorted(nodes.stopped) == ["a", "b", "c"]


@pytest.mark.parametrize("value", [np.float64(1.5), np.zeros(2), {"a": [object()]}, {1, 2}, print])
def test_only_plain_data_travels(value: object) -> None:
    sound = {"a": [1, 2.5, "x", b"y", None, True, (1, 2)]}
    assert plain(sound) == sound
    with pytest.raises(TypeError, match="expected plain data"):
        plain([value])
