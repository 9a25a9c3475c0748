"""Checkpoints on the hub: which files are downloaded, once, and that they open without the hub."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import tiny_checkpoints
from fake_hub import COMMIT, serving
from test_hub import Client

from bitwright.io import hub_choice

CASE = "gemma3-windows-linear"
SCRIPT = """
import json, sys
from bitwright.io import cache
from bitwright.model import files
found = []
for ref in json.loads(sys.argv[1]):
    file = files.open(ref)
    found.append([file.metadata["general.name"], len(file.tensors), sorted(path.name for path in file.paths)])
models = [entry.name for entry in cache.entries() if entry.what == "model"]
if "rm" in sys.argv:
    cache.remove(cache.find("org/tiny-model"))
print(json.dumps([found, models, [entry.name for entry in cache.entries() if entry.what == "model"]]))
"""


def ask(client: Client, refs: list[str], *more: str, **environment: str) -> Any:
    command = [sys.executable, "-c", SCRIPT, json.dumps(refs), *more]
    done = subprocess.run(command, env=client.environment | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_checkpoint_is_downloaded_once_and_removed_as_one(tmp_path: Path) -> None:
    folder = tiny_checkpoints.write(CASE, tmp_path / "made")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    others = {
        "pytorch_model.bin": b"x",
        "consolidated.safetensors": b"x",
        "onnx/model.safetensors": b"x",
        "a.png": b"x",
    }
    with serving({"org/tiny-model": files | others}) as hub:
        client = Client(tmp_path / "cache", hub.address)
        ((opened,), models, _) = ask(client, ["org/tiny-model"])
        assert opened == ["Tiny Model", 41, sorted({*files} - {"model.safetensors.index.json"})]
        assert models == ["org/tiny-model"]
        downloaded = {line.rpartition("/")[2] for line in hub.asked if line.startswith("GET") and "resolve" in line}
        assert downloaded == set(files)
        assert sum(f"/resolve/{COMMIT}/" in line for line in hub.asked) >= len(files) - 1
        hub.asked.clear()
        assert ask(client, ["org/tiny-model@main"])[0] == [opened]
        assert not [line for line in hub.asked if line.startswith("GET") and "resolve" in line]
    offline = {"HF_HUB_OFFLINE": "1"}
    assert ask(client, ["org/tiny-model"], "rm", **offline) == [[opened], models, []]


def test_what_a_checkpoint_is() -> None:
    assert hub_choice.is_checkpoint(["config.json", "model.safetensors"])
    assert not hub_choice.is_checkpoint(["model.safetensors"]) and not hub_choice.is_checkpoint(["config.json"])
