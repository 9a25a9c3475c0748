"""Model references: paths, and a hub on 127.0.0.1.

Each test asks the hub from a separate process: huggingface_hub reads its address and cache folder once, on import.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fake_hub import COMMIT, Hub, serving

from bitwright.errors import UsageError
from bitwright.io import gguf, hub, hub_choice

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
    "org/beside": {
        "M-MTP-Q4_K_M.gguf": b"mtp",
        "M-lora-Q4_K_M.gguf": b"lora",
        "M-Q4_K_M.GGUF": b"model",
        "mmproj-F16.gguf": b"p",
        "M-imatrix.gguf": b"imatrix",
        "imatrix.gguf": b"imatrix",
    },
    "org/folders": {
        "BF16/m-00001-of-00002.GGUF": b"bf",
        "BF16/m-00002-of-00002.GGUF": b"2",
        "Q8_0/model-00001-of-00001.gguf": b"q8",
        "Q8_0/mmproj.gguf": b"p",
    },
    "org/mtp": {"X-MTP-Q8_0.gguf": b"mtp"},
    "org/projectors": {"mmproj-F16.gguf": b"p"},
    "org/weights": {"model.safetensors": b"st"},
    "org/both": {"config.json": b"{}", "model.safetensors": b"st", "m.Q8_0.gguf": b"q8"},
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


class Client:
    """Resolves references in a separate process with a separate cache folder."""

    def __init__(self, folder: Path, address: str) -> None:
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS"))
        }
        self.environment |= {"HF_HOME": str(folder), "BITWRIGHT_CACHE": str(folder / "own"), "HF_ENDPOINT": address}
        self.stderr = ""

    def resolve(self, *refs: str, **environment: str) -> list[str]:
        """The content or the error of each reference."""
        command = [sys.executable, "-c", SCRIPT, json.dumps(refs)]
        done = subprocess.run(command, env=self.environment | environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.stderr = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def client(tmp_path: Path, fake_hub: Hub) -> Client:
    fake_hub.asked.clear()
    return Client(tmp_path, fake_hub.address)


def test_references_to_the_hub(client: Client) -> None:
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
        "org/first:iq4_xs": "b",
        f"org/first:Q5_0@{COMMIT}": "a",
        "https://huggingface.co/org/name/resolve/main/m-Q8_0.gguf?download=true": "q8_0",
        "https://huggingface.co/org/name/blob/v2/m%2DBF16.gguf#L1": "bf16",
        "https://huggingface.co/org/name/tree/main": "q4_k_m",
        "https://huggingface.co/org/name/tree/main?show_file_info=m-Q8_0.gguf": "q8_0",
        "https://huggingface.co/org/name/?library=llama-cpp-python": "q4_k_m",
        "https://huggingface.co/org/name/tree/main/big/": "first",
        "org/beside": "model",
        "org/beside:q4_k_m": "model",
        "org/beside/M-lora-Q4_K_M.gguf": "lora",
        "org/folders:Q8_0": "q8",
        "org/folders:bf16": "bf",
        "https://huggingface.co/org/folders/tree/main/Q8_0": "q8",
        "org/mtp": "mtp",
        "org/both": "q8",
    }
    assert dict(zip(wanted, client.resolve(*wanted), strict=True)) == wanted


def test_what_the_hub_does_not_have(client: Client) -> None:
    wanted = {
        "org/absent": "UsageError: there is no model org/absent on the hub (if it is private, set HF_TOKEN)",
        "org/name@absent": "UsageError: org/name has no revision absent",
        "org/name:Q3_K": "UsageError: org/name has no Q3_K; it has Q2_K, BF16, Q4_K_M, Q8_0, UD-Q4_K_M",
        "org/name/x.gguf": "UsageError: org/name has no file x.gguf; it has Q2_K, BF16, Q4_K_M, Q8_0, UD-Q4_K_M",
        "org/weights": "UsageError: org/weights holds no .gguf file",
        "org/first": "UsageError: org/first holds 2 models; name one (:QUANT or /FILE behind the repository): a.Q5",
        "org/projectors": "UsageError: org/projectors holds no model, only mmproj-F16.gguf",
        "https://huggingface.co/org/name/tree/main/none": "UsageError: org/name/none holds no .gguf file",
        "https://a.de/m.gguf": "UsageError: https://a.de/m.gguf: only addresses on huggingface.co are read",
        "org/torn": "BitwrightError: org/torn lacks m-Q2_K-00002-of-00002.gguf of its split files",
        "org/broken": "BitwrightError: org/broken: the hub answered Server error '503",
        "org/gated": "BitwrightError: org/gated requires you to accept its terms on the hub",
    }
    for found, expected in zip(client.resolve(*wanted), wanted.values(), strict=True):
        assert found.startswith(expected) and "\n" not in found


def test_answers_that_are_none(client: Client, fake_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login page of a network, and what a hostile hub may say."""
    names = ("../../x-Q4_0.gguf", "/x-Q4_0.gguf", "\ud800-Q4_0.gguf", 5, None)
    files = [json.dumps({"id": "org/x", "siblings": [{"rfilename": name}]}) for name in names]
    texts = ["<html>", "", "null", "[]", "5", '{"siblings": [null]}', '{"siblings": {"a": 1}}', *files]
    odd = {f"org/odd{number}": text.encode() for number, text in enumerate(texts)}
    monkeypatch.setattr(fake_hub, "odd", odd)
    for found, repo in zip(client.resolve(*odd), odd, strict=True):
        assert found.startswith(f"UnreachableError: {repo}: the hub's answer cannot be used ("), odd[repo]
    monkeypatch.setattr(fake_hub, "odd", {})
    assert client.resolve("org/name:Q8_0") == ["q8_0"]
    monkeypatch.setattr(fake_hub, "odd", {"org/name": b"<html>"})
    assert client.resolve("org/name:Q8_0") == ["q8_0"] and "using the cache" in client.stderr


def test_no_answer_leads_out_of_the_cache(client, fake_hub, tmp_path, monkeypatch) -> None:
    files = [name for name in FILES if name.startswith("m")]
    names = ["../../../../out", 'W/"../../../../out"', "a\\..\\out", "..", "/out"]
    headers = ["ETag", "X-Linked-Etag", "ETag", "X-Repo-Commit", "X-Repo-Commit"]
    odd = {file: {header: name} for file, header, name in zip(files, headers, names, strict=True)}
    monkeypatch.setattr(fake_hub, "headers", odd)
    for found, header in zip(client.resolve(*(f"org/name/{file}" for file in files)), headers, strict=True):
        assert found.startswith(f"UnreachableError: org/name: the hub's answer cannot be used ({header} ")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() in FILES.values()]


def test_offline_only_the_cache_is_read(client: Client, fake_hub: Hub) -> None:
    assert client.resolve("org/name:Q8_0", "org/name:Q2_K") == ["q8_0", "first"]
    fake_hub.asked.clear()
    found = client.resolve(
        "org/name:q8_0", "org/name:Q2_K", "org/name:BF16", "org/first", "smollm2-135m", HF_HUB_OFFLINE="1"
    )
    assert found[:2] == ["q8_0", "first"]
    assert found[2] == "UsageError: org/name in the cache has no BF16; it has Q2_K, Q8_0"
    assert found[3] == "BitwrightError: org/first at main is not in the cache, and offline mode is on"
    assert found[4].startswith("BitwrightError: smollm2-135m is not in the cache, and offline mode is on")
    assert fake_hub.asked == []


def test_the_cache_answers_with_a_warning_while_the_hub_is_unreachable(client: Client) -> None:
    assert client.resolve("org/name:Q8_0") == ["q8_0"]
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    found = client.resolve("org/name:Q8_0", "org/first", **nobody)
    assert found[0] == "q8_0" and "the hub cannot be reached" in client.stderr
    assert found[1].startswith("UnreachableError: org/first: the hub cannot be reached (")


def test_paths(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"")
    assert hub.resolve(model) == hub.resolve(str(model)) == hub.resolve(tmp_path) == model
    for part in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"):
        (tmp_path / part).write_bytes(b"")
    with pytest.raises(UsageError, match=r"holds 2 models; name one: m-00001-of-00002\.gguf, m\.gguf"):
        hub.resolve(tmp_path)
    model.unlink()
    assert hub.resolve(tmp_path).name == "m-00001-of-00002.gguf"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no .gguf file"):
        hub.resolve(tmp_path / "empty")


def test_folders_hold_one_model_beside_its_companions(tmp_path: Path) -> None:
    for name in ("M-Q4_K_M.GGUF", "M-MTP-Q4_K_M.gguf", "M-lora-F16.gguf", "mmproj-M.gguf", "imatrix.gguf"):
        (tmp_path / name).write_bytes(b"")
    assert hub.resolve(tmp_path).name == "M-Q4_K_M.GGUF"
    gguf.write(tmp_path / "unnamed.gguf", {"general.type": "adapter"}, [])
    assert hub.resolve(tmp_path).name == "M-Q4_K_M.GGUF"
    gguf.write(tmp_path / "other.gguf", {"general.type": "model"}, [])
    with pytest.raises(UsageError, match=r"holds 2 models; name one: M-Q4_K_M\.GGUF, other\.gguf"):
        hub.resolve(tmp_path)


def test_a_folder_for_each_format(tmp_path: Path) -> None:
    (tmp_path / "Q8_0").mkdir()
    (tmp_path / "Q8_0/model-00001-of-00001.gguf").write_bytes(b"")
    (tmp_path / "Q8_0/config.json").write_bytes(b"")
    assert hub.resolve(tmp_path) == tmp_path / "Q8_0/model-00001-of-00001.gguf"


def test_parts_keep_the_case_of_their_names(tmp_path: Path) -> None:
    paths = gguf.part_paths(tmp_path / "m-00001-of-00002.GGUF", 2)
    assert [path.name for path in paths] == ["m-00001-of-00002.GGUF", "m-00002-of-00002.GGUF"]


def test_a_choice_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(place: str, files: Sequence[str]) -> str:
        asked.append((place, *files))
        return files[1]

    monkeypatch.setattr(hub_choice, "ask", ask)
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"")
    assert hub.resolve(tmp_path).name == hub.resolve(tmp_path).name == "b.gguf"
    assert asked == [(str(tmp_path), "a.gguf", "b.gguf")]


@pytest.mark.parametrize(
    "ref",
    [
        *("smollm3", "absent.gguf", "./a/b", "/a/b", "~nobody/a", "x" * 5000, "folder/absent.gguf"),
        *("o/n@../x", "a b/c", "", "org/", "o/n:", "\0"),
    ],
)
def test_bad_references_are_refused(ref: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path / "..")
    with pytest.raises(UsageError, match=r"accepted: a path, org/name\[:QUANT\]\[@revision\] .*smollm2-135m"):
        hub.resolve(ref, offline=True)
