"""What `eval --reference` reports about many steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli.support import Outcome

import bitwright as bw
from bitwright.measure.rollout.baseline import SUITES


@pytest.fixture(scope="module")
def small(stories260k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "stories.q4_0.gguf"
    bw.quantize(stories260k, "q4_0", target)
    return target


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_quick(bitwright: Callable[..., Outcome], small: Path, stories260k: Path, data: Path) -> None:
    text = data / "text/tinystories/tiny.utf8"
    flags = ("eval", small, "--reference", stories260k, "-f", text, "-c", 64)
    found = bitwright(*flags, "--json").json
    first = found["first_divergence"]
    assert first["runs"] == 16 and 0 < first["events"] == 16 - first["censored"]
    assert first["survival"][0] == [0, 1.0] and first["survival"][-1][0] == first["horizon"] == 64
    shares = [share for _, share in first["survival"]]
    assert shares == sorted(shares, reverse=True) and 1 <= first["low"] <= first["median"] <= (first["high"] or 64)
    assert found["free_running"] is None and found["sequence_kl"]["total"][0][-1] > 0.1
    printed = bitwright(*flags).out
    line = next(line for line in printed.splitlines() if line.startswith("first divergence"))
    assert line.split()[2] == f"{first['median']:.0f}" and f"{first['events']} of 16 diverged" in line


def test_full(
    bitwright: Callable[..., Outcome],
    small: Path,
    stories260k: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SUITES, "full", (16, 40))  # more and longer rollouts are reported in the same way
    text = data / "text/tinystories/tiny.utf8"
    flags = ("eval", small, "--reference", stories260k, "-f", text, "-c", 64, "--chunks", 12)
    found = bitwright(*flags, "--suite", "full", "--json").json
    free = found["free_running"]
    assert free["verified"] == {"paths": 16, "exceptions": []}
    assert free["kl_by_horizon"][-1]["last"] == found["rollout"]["steps"] == 40
    assert free["amplification"]["low"] < free["amplification"]["value"] < free["amplification"]["high"]
    assert 0 < found["local_error"][-1]["local_share"]["value"] < 2
    assert free["examples"][0]["reference"] != free["examples"][0]["candidate"]
