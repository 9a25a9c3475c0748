"""A search over Ray: the numbers of one machine, whatever happens to its workers.

Three nodes of Ray are for CI; test_dispatch.py and test_worker.py have nodes in this process.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from bitwright import kernels
from bitwright.errors import BitwrightError, UsageError
from bitwright.fit import ray_nodes
from bitwright.fit.cluster import Cluster, RayScorer
from bitwright.fit.ray_nodes import RayNodes, reason
from tests.fit.searches import CHUNKS, TOKENS, Case, made

STORE = 80 << 20
GRACE = 200.0  # seconds: a busy machine is no reason to go on without a node


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(ray_nodes.importlib, "import_module", absent)
    with pytest.raises(BitwrightError, match=r"^Ray is not installed \(.*'ray'\): pip install 'bitwright\[ray\]'$"):
        RayNodes("auto")


@pytest.mark.parametrize("address", ["", "here", "host:", ":6379", "host:0", "host:65536", "ray://host:10001"])
def test_wrong_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="expected the address of a Ray cluster: auto, local or host:port, got"):
        RayNodes(address)


def test_an_address_where_no_one_listens_is_said_at_once() -> None:
    with pytest.raises(BitwrightError, match=r"^no Ray cluster at 127.0.0.1:9: .*`ray start --head` starts one there$"):
        RayNodes("127.0.0.1:9")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("The actor died.\n\tpid: 3\nThe node was lost.", "The actor died."),
        ("\x1b[36mray::Worker.answer()\x1b[39m (pid=3)\n  File x\nMemoryError: no 4 GiB", "MemoryError: no 4 GiB"),
        (
            "died in creation\nRuntimeError: why:\nModuleNotFoundError: No module named 'bitwright'",
            "bitwright is not installed there",
        ),
        ("numpy.exceptions.AxisError: axis 2\n   ^^^^", "numpy.exceptions.AxisError: axis 2"),
    ],
)
def test_of_a_long_message_one_line_is_shown(message: str, expected: str) -> None:
    assert reason(message) == expected


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Skips where a node of Ray does not start within the 30 s that Ray itself allows, as on a very busy machine."""
    try:
        yield
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        pytest.skip("Ray gave up starting a node after 30 s: this machine is too busy")


class Machines:
    """Two nodes with a worker each, as if on two machines."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.cluster_utils import Cluster as LocalCluster

        self.ray = ray
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE}
        with in_time():
            self.cluster = LocalCluster(initialize_head=True, head_node_args=head)
            self.cluster.add_node(num_cpus=1, object_store_memory=STORE)
        self.nodes = RayNodes(self.cluster.address)
        self.first, self.second = self.nodes.alive()

    def add_old(self) -> None:
        """A third node, which has the slowest tier only."""
        with in_time():
            self.cluster.add_node(num_cpus=1, object_store_memory=STORE, env_vars={"BITWRIGHT_TIER": "scalar"})

    def close(self) -> None:
        self.nodes.close()
        self.cluster.shutdown()


def check_one_machine(scorer: RayScorer, case: Case) -> None:
    shared, candidates = case.palette(), case.candidates
    assert scorer.cluster.size == 2
    assert scorer.cluster.warnings == ()
    scorer.cluster.build(case.pairs)
    assert all(shared.has(*pair) for pair in case.pairs)
    expected = case.scores()
    assert np.array_equal(scorer.score(candidates, CHUNKS, candidates[0]), expected)
    assert np.array_equal(scorer.score(candidates[::-1], [2, 1], candidates[1]), expected[::-1, [2, 1]])
    for name, format in case.pairs[:6]:
        assert np.array_equal(shared.tensor(name, format).data, case.palette("own palette").tensor(name, format).data)


def check_killed_in_the_middle(scorer: RayScorer, case: Case) -> None:
    """It is stopped first, so that it surely holds a job when it is killed."""
    victim, found, candidates = scorer.cluster.team.ready[1], [], case.candidates
    process = victim.about["process"]
    os.kill(process, signal.SIGSTOP)
    score = threading.Thread(target=lambda: found.append(scorer.score(candidates, CHUNKS, candidates[0])))
    score.start()
    while victim.job is None:
        score.join(0.01)
        assert score.is_alive()
    os.kill(process, signal.SIGKILL)
    score.join()
    assert np.array_equal(found[0], case.scores())
    assert victim not in scorer.cluster.team.members


def check_joined_later(machines: Machines, scorer: RayScorer, case: Case) -> None:
    """A node that joins needs the tier of the search."""
    expected, candidates, cluster = case.scores(), case.candidates, scorer.cluster
    machines.add_old()
    while cluster.size < 3 and not cluster.warnings:
        assert np.array_equal(scorer.score(candidates, CHUNKS, candidates[0]), expected)
    assert np.array_equal(scorer.score(candidates, CHUNKS, candidates[0]), expected)
    if scorer.tier != "scalar":
        assert f"is left out: the search runs on tier {scorer.tier}; here there is scalar" in cluster.warnings[0]


class Spoiled:
    """The nodes of a cluster, some of which open something else: `files` by node."""

    def __init__(self, nodes: RayNodes, files: Mapping[str, Path]) -> None:
        self.nodes, self.files = nodes, files
        self.places: list[tuple[object, str]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.nodes, name)

    def start(self, node: str, threads: int) -> object:
        worker = self.nodes.start(node, threads)
        self.places.append((worker, node))
        return worker

    def call(self, worker: object, method: str, arguments: Sequence[object]) -> object:
        node = next(node for own, node in self.places if own is worker)
        if method == "open" and node in self.files:
            arguments = [{**arguments[0], "model": str(self.files[node])}]  # type: ignore[dict-item]
        return self.nodes.call(worker, method, arguments)


def check_other_files(machines: Machines, case: Case, folder: Path) -> None:
    """One node lacks the model, one has another by its name, and the one with the slowest tier serves."""
    (folder / "other").mkdir()
    other = made(folder / "other", seed=1).model.path
    files = {machines.first: folder / "absent" / "model.gguf", machines.second: other}
    with Cluster(Spoiled(machines.nodes, files), case.palette(), case.statistics, GRACE) as cluster:
        assert cluster.size == 1
        lines = "\n".join(cluster.warnings)
        assert re.search(rf"^\S+ is left out: no file or model is named {folder}/absent/model.gguf", lines, re.M)
        expected = "expected the file that the search was started on, SHA-256 .*, found another"
        assert re.search(rf"^\S+ is left out: {other}: {expected}", lines, re.M)
        scorer = RayScorer(cluster, case.engine, case.choices, TOKENS, folder=case.folder / "references")
        assert scorer.tier == "scalar"
        found = scorer.score(case.candidates, CHUNKS, case.candidates[0])
        assert np.array_equal(found, case.scores("scalar"))
        said = any(line.startswith("all workers score on tier scalar") for line in cluster.warnings)
        assert said == (kernels.tier() != "scalar")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_search_on_several_nodes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One test, because a cluster takes seconds to start."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'bitwright[ray]'")
    machines, case = Machines(), made(tmp_path, statistics=True)
    try:
        with Cluster(machines.nodes, case.palette(), case.statistics, GRACE) as cluster:
            scorer = RayScorer(cluster, case.engine, case.choices, TOKENS, folder=tmp_path / "references")
            check_one_machine(scorer, case)
            check_killed_in_the_middle(scorer, case)
            check_joined_later(machines, scorer, case)
        check_other_files(machines, case, tmp_path)
    finally:
        machines.close()
    assert capfd.readouterr().out == ""
