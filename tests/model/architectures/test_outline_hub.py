"""Outlines of models on a hub, one on 127.0.0.1 that records requests."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from fake_hub import Hub, serving
from model.architectures.test_outline import FAMILY, safetensors

from bitwright import formats
from bitwright.model.architectures.families import blueprint
from bitwright.model.architectures.outline import outline

SCRIPT = """
import json, sys
from bitwright.errors import BitwrightError
from bitwright.hardware.memory import memory
from bitwright.model.architectures.outline import from_blueprint, from_published, outline
from bitwright.hardware.weights import assign, file_bytes
for ref in json.loads(sys.argv[1]):
    try:
        o = outline(ref)
        print(json.dumps([o.name, o.architecture, o.parameters, file_bytes(o, assign(o, None)), o.standing]))
    except BitwrightError as error:
        print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 MB with 5 MB of vocabulary, so that the header is longer than the first piece read."""
    path = tmp_path_factory.mktemp("big") / "big-Q4_K_M.gguf"
    made = blueprint(tiny.config(FAMILY, vocab_size=24000), "", formats.get("f32"))
    made.metadata["tokenizer.ggml.tokens"] = ["x" * 200] * 24000
    return tiny.write(made, path)


@pytest.fixture(scope="module")
def halves_of_gguf(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A split set of two, the first with the metadata."""
    folder, made = tmp_path_factory.mktemp("split"), blueprint(tiny.config(FAMILY), "", formats.get("f32"))
    tensors, about, files = made.tensors, made.metadata, []
    for number in range(2):
        made.tensors, made.metadata = tensors[number::2], about if number == 0 else {}
        made.metadata = made.metadata | {"split.no": number, "split.count": 2, "split.tensors.count": len(tensors)}
        files.append(tiny.write(made, folder / f"{number}.gguf").read_bytes())
    return files


@pytest.fixture(scope="module")
def server(big: Path, halves_of_gguf: list[bytes]) -> Iterator[Hub]:
    config = json.dumps(tiny.config(FAMILY)).encode()
    halves = {"model-00001-of-00002.safetensors": safetensors(), "model-00002-of-00002.safetensors": safetensors()}
    repos = {
        "org/gguf": {"big-Q4_K_M.gguf": big.read_bytes(), "config.json": config},
        "org/weights": {"config.json": config, "model.safetensors": safetensors(), "README.md": b"#"},
        "org/sharded": {"config.json": config, **halves, "consolidated.safetensors": b"never read"},
        "org/neither": {"README.md": b"#"},
        "org/adapter": {"adapter_config.json": json.dumps({"base_model_name_or_path": "org/weights"}).encode()},
        "org/lost": {"adapter_config.json": json.dumps({"base_model_name_or_path": "org/absent"}).encode()},
        "org/split": {"m-Q4_0-00001-of-00002.gguf": halves_of_gguf[0], "m-Q4_0-00002-of-00002.gguf": halves_of_gguf[1]},
        "org/damaged": {"bad.gguf": b"GGUF" + bytes(1000)},
    }
    with serving(repos) as hub:
        yield hub


def ask(server: Hub, home: Path, *refs: str, **environment: str) -> list[list[object] | str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS"))}
    clean |= {"HF_HOME": str(home), "BITWRIGHT_CACHE": str(home / "own"), "HF_ENDPOINT": server.address}
    command = [sys.executable, "-c", SCRIPT, json.dumps(refs)]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_of_a_gguf_file_on_the_hub_only_the_header_is_read(server: Hub, big: Path, tmp_path: Path) -> None:
    server.asked.clear()
    server.sent = 0
    here = outline(big)
    expected = [here.name, "qwen3", here.parameters, big.stat().st_size, "read in the file"]
    assert ask(server, tmp_path, "org/gguf") == [expected]
    assert 5_000_000 < server.sent < big.stat().st_size * 1.4
    assert not any("HEAD" in request for request in server.asked)
    server.sent = 0
    assert ask(server, tmp_path, "org/gguf:Q4_K_M") == [expected]
    assert server.sent <= 4 << 20  # only the commit of a cached file is requested again
    kept = next((tmp_path / "own/headers").rglob("*.gguf"))
    assert kept.stat().st_size == big.stat().st_size


def test_of_a_split_set_on_the_hub_every_header_is_read(server: Hub, tmp_path: Path) -> None:
    made = blueprint(tiny.config(FAMILY), "", formats.get("f32"))
    (found,) = ask(server, tmp_path, "org/split")
    assert found[1:3] == ["qwen3", sum(math.prod(t.shape) for t in made.tensors)]
    kept = sorted(path.name for path in (tmp_path / "own/headers").rglob("*.gguf"))
    assert kept == ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00002.gguf"]


def test_of_safetensors_on_the_hub_only_headers_are_read(server: Hub, tmp_path: Path) -> None:
    made = blueprint(tiny.config(FAMILY), "", formats.get("bf16"))
    parameters = sum(math.prod(t.shape) for t in made.tensors)
    (whole, halves) = ask(server, tmp_path, "org/weights", "org/sharded")
    assert whole[:3] == ["weights", "qwen3", parameters] and f"{parameters:,}" in str(whole[4])
    assert f"{2 * parameters:,}" in str(halves[4])  # of model-*, not of consolidated
    offline = ask(server, tmp_path, "org/weights", HF_HUB_OFFLINE="1")
    assert offline == [[*whole[:4], "from config.json alone"]]


def test_of_an_adapter_on_the_hub_its_base_is_planned_for(server: Hub, tmp_path: Path) -> None:
    base, merged, lost = ask(server, tmp_path, "org/weights", "org/adapter", "org/lost")
    assert merged[:4] == ["adapter", *base[1:4]]
    assert merged[4] == f"of org/weights, into which the adapter is merged: {base[4]}"
    assert str(lost).startswith("org/lost/adapter_config.json is for org/absent; if that is elsewhere, plan for it by")
    assert "there is no model org/absent" in str(lost)


def test_what_the_hub_does_not_have(server: Hub, tmp_path: Path) -> None:
    absent, neither, damaged, offline = (
        *ask(server, tmp_path, "org/absent", "org/neither", "org/damaged"),
        *ask(server, tmp_path, "org/gguf", HF_HUB_OFFLINE="1"),
    )
    assert "there is no model org/absent" in absent
    assert neither == "org/neither holds neither a .gguf file nor a config.json"
    assert "expected" in damaged and "version" in damaged
    assert offline == "org/gguf at main is not in the cache, and offline mode is on"
