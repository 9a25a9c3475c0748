"""`bitwright list`, `pull` and `rm`: what is cached, and that nothing else is ever removed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bitwright.cli.app import GROUPS

COMMITS = ("a" * 40, "b" * 40)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache: two revisions of org/name share the Q8_0 file, Q4_K_M is split and only in the second."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub/models--org--name"
    contents = {"q8": 5000, "one": 3000, "two": 4000, "readme": 10}
    (repo / "blobs").mkdir(parents=True)
    for blob, size in contents.items():
        (repo / "blobs" / blob).write_bytes(bytes([1]) * size)
    files = {"m-Q8_0.gguf": "q8", "Q4_K_M/m-00001-of-00002.gguf": "one", "Q4_K_M/m-00002-of-00002.gguf": "two"}
    for commit, kept in zip(COMMITS, ({"m-Q8_0.gguf": "q8"}, files | {"README.md": "readme"}), strict=True):
        for name, blob in kept.items():
            link = repo / "snapshots" / commit / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(repo / "blobs" / blob)
    return repo


@pytest.fixture
def own(cache: Path) -> Path:
    """bitwright's cache: a model under its alias, two kinds of working data, and a folder that is none of its
    business."""
    sizes = {
        "models/SmolLM2-135M-Instruct.Q4_1.gguf": 2000,
        "references/r/0.npz": 700,
        "palette/0.tensor": 300,
        "mine/x": 9,
    }
    for name, size in sizes.items():
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(bytes([1]) * size)
    return cache


def test_list_shows_both_caches_and_counts_shared_contents_once(bitwright, hub: Path, own: Path) -> None:
    found = bitwright("list", "--json").json
    assert {row["name"]: row["bytes"] for row in found["entries"]} == {
        "smollm2-135m": 2000,
        "org/name/m-Q8_0.gguf": 5000,
        "org/name/Q4_K_M/m-00001-of-00002.gguf": 7000,
        "references": 700,
        "palette": 300,
    }
    assert found["total_bytes"] == 15_000 and found["folders"] == [str(own), str(hub.parent)]
    shown = bitwright("list").out
    assert "smollm2-135m" in shown and "7.0 kB" in shown and f"15.0 kB in {own} and {hub.parent}" in shown


def test_nothing_cached(bitwright, cache: Path, hub: Path) -> None:
    import shutil

    shutil.rmtree(hub)
    assert bitwright("list").out.startswith("0 B in ")
    refused = bitwright("rm", "smollm2-135m", "--yes")
    assert refused.code == 2 and "nothing is cached" in refused.err


@pytest.mark.parametrize(
    ("name", "removed", "freed"),
    [
        ("org/name:q4_k_m", ["org/name/Q4_K_M/m-00001-of-00002.gguf"], 7000),
        ("org/name/m-Q8_0.gguf", ["org/name/m-Q8_0.gguf"], 5000),
        ("org/name", ["org/name/Q4_K_M/m-00001-of-00002.gguf", "org/name/m-Q8_0.gguf"], 12_000),
        ("smollm2-135m", ["smollm2-135m"], 2000),
        ("references", ["references"], 700),
        ("palette", ["palette"], 300),
    ],
)
def test_rm(bitwright, hub: Path, own: Path, name: str, removed: list[str], freed: int) -> None:
    found = bitwright("rm", name, "--yes", "--json").json
    assert sorted(found["removed"]) == removed and found["bytes"] == freed
    left = bitwright("list", "--json").json
    assert left["total_bytes"] == 15_000 - freed and not {row["name"] for row in left["entries"]} & set(removed)
    assert (hub / "blobs/readme").exists() and (own / "mine/x").exists()
    assert not [path for path in hub.rglob("*") if path.is_symlink() and not path.exists()]


def test_a_repository_without_files_vanishes(bitwright, hub: Path, own: Path) -> None:
    (hub / "snapshots" / COMMITS[1] / "README.md").unlink()
    bitwright("rm", "org/name", "--yes")
    assert not hub.exists() and hub.parent.exists()


def test_a_link_out_of_the_cache_removes_the_link_alone(bitwright, hub: Path, own: Path, tmp_path: Path) -> None:
    outside = tmp_path / "precious.gguf"
    outside.write_bytes(b"x")
    (hub / "snapshots" / COMMITS[1] / "p.gguf").symlink_to(outside)
    (own / "models/linked.gguf").symlink_to(outside)
    assert bitwright("rm", "org/name/p.gguf", "linked.gguf", "--yes").code == 0
    assert outside.read_bytes() == b"x" and not (own / "models/linked.gguf").is_symlink()


def test_rm_refuses_what_is_not_cached(bitwright, hub: Path, own: Path, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").touch()
    for name in (tmp_path / "m.gguf", "../mine", "mine", "org", "org/name:Q2_K", "models"):
        refused = bitwright("rm", name, "--yes")
        assert refused.code == 2 and refused.err.startswith("bitwright: error: unknown cached model")
    assert (tmp_path / "m.gguf").exists() and (own / "mine/x").exists()


def test_rm_asks(bitwright, hub: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = bitwright("rm", "references")
    assert (
        refused.code == 2 and "rm asks on a terminal before it removes references; elsewhere give --yes" in refused.err
    )
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    for answer, code in (("\n", 1), ("no\n", 1), ("y\n", 0)):
        monkeypatch.setattr("bitwright.cli.cached.answered", lambda answer=answer: answer)
        assert bitwright("rm", "references").code == code
        assert (own / "references").exists() == bool(code)


def test_pull_says_where_a_model_is(bitwright, stories260k: Path) -> None:
    assert bitwright("pull", stories260k).out == f"{stories260k}: 1.2 MB\n"
    assert bitwright("pull", stories260k, "--json").json["bytes"] == stories260k.stat().st_size


def test_the_help_lists_the_verbs_by_group(bitwright) -> None:
    shown = bitwright("--help").out
    for title, verbs in GROUPS.items():
        section = shown.split(f"{title}:\n")[1].split("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines()] == list(verbs)
