"""bitwright push, against a hub on this machine: what arrives, the page, and what is refused unsent."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.support import Outcome, finish, start
from fake_hub import COMMIT, Handler, Hub, serving

from bitwright.io import gguf, label
from bitwright.io.gguf import Typed

OTHERS = b"---\nlicense: mit\n---\n# Mine\n\nWords of my own.\n"
Push = Callable[..., Outcome]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving({"me/there": {"README.md": OTHERS, "old.gguf": b"x"}}) as server:
        yield server


@pytest.fixture
def push(hub: Hub, tmp_path: Path) -> Push:
    def call(*arguments: object, **environment: str) -> Outcome:
        own = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_x", "HF_HUB_OFFLINE": "0",
               "HF_HUB_DISABLE_XET": "1"}  # fmt: skip
        return finish(start("push", *arguments, env=own | environment))

    return call


@pytest.fixture
def labelled(quantized: Path, tmp_path: Path) -> Path:
    """A quantized model with a label, and facts for the page."""
    file = gguf.open(quantized / "q4_0.gguf")
    figures = {"kl_divergence.mean": 0.25, "kl_divergence.low": 0.2, "kl_divergence.high": 0.3, "same_top1": 0.8}
    values = label.blank().values | figures | {"tensors_sha256": label.sha256_of_tensors(file), "half_life": 9.0}
    facts = {"general.license": Typed("apache-2.0", "string"), "general.base_model.count": Typed(1, "uint32"),
             "general.base_model.0.repo_url": Typed("https://huggingface.co/a/base", "string"),
             "general.languages": Typed(["en", "no"], "array[string]")}  # fmt: skip
    return rewritten(file, label.Label(values).entries() | facts, tmp_path / "small.q4_0.gguf")


def rewritten(file: gguf.GGUF, changes: dict[str, Typed], path: Path) -> Path:
    """A copy of a file with other metadata."""
    tensors = [(n, t.shape, t.format, lambda n=n: file.tensor(n).data) for n, t in file.tensors.items()]
    gguf.write(path, file.metadata.typed() | changes, tensors)
    return path


def test_a_new_repository_gets_files_and_a_page(push: Push, hub: Hub, labelled: Path, quantized: Path) -> None:
    done = push("me/new", labelled, quantized / "q8_0.gguf", "--private")
    assert done.code == 0 and f"me/new/commit/{1:040x}" in done.out, done.err
    there = hub.repos["me/new"]
    assert there["small.q4_0.gguf"] == labelled.read_bytes()
    assert there["q8_0.gguf"] == (quantized / "q8_0.gguf").read_bytes()
    assert hub.commits == [("me/new", "Add small.q4_0.gguf, q8_0.gguf", None)]
    page = there["README.md"].decode()
    front, _, body = page.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(front) == {
        "base_model": ["a/base"], "base_model_relation": "quantized", "license": "apache-2.0",
        "language": ["en", "no"], "pipeline_tag": "text-generation", "tags": ["gguf", "bitwright"],
    }  # fmt: skip
    assert body.index("## small.q4_0.gguf") < body.index("## q8_0.gguf")
    assert f"`{hashlib.sha256(labelled.read_bytes()).hexdigest()}`" in body
    assert "| KL divergence, nats | 0.25000 | 0.20000 to 0.30000 |" in body
    assert body.count("What was lost was not measured.") == 1
    tensors = gguf.open(quantized / "q8_0.gguf").tensors.values()
    bits = 8 * sum(t.nbytes for t in tensors) / sum(math.prod(t.shape) for t in tensors)
    assert f"{(quantized / 'q8_0.gguf').stat().st_size:,} bytes, {bits:.2f} bits per weight." in body


def test_a_page_keeps_what_is_not_a_files_section(push: Push, hub: Hub, labelled: Path, quantized: Path) -> None:
    for file in (labelled, quantized / "q8_0.gguf", labelled):
        done = push("me/there", file, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["files"].keys() == {file.name}
    page = hub.repos["me/there"]["README.md"].decode()
    assert page.startswith(OTHERS.decode().rstrip())
    assert page.count("## small.q4_0.gguf") == page.count("## q8_0.gguf") == 1
    assert hub.repos["me/there"]["old.gguf"] == b"x"
    assert [after for _, _, after in hub.commits] == [COMMIT, f"{1:040x}", f"{2:040x}"]
    assert sum(line.startswith("PUT") for line in hub.asked) == len(hub.stored) == 2


def test_nothing_is_sent_in_a_dry_run(push: Push, hub: Hub, labelled: Path) -> None:
    done = push("me/there", labelled, "--dry-run")
    assert done.code == 0 and done.out.startswith(OTHERS.decode().rstrip()) and "## small.q4_0.gguf" in done.out
    assert hub.commits == [] and hub.stored == {}


def test_what_is_refused(push: Push, hub: Hub, labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "odd <b>.gguf").write_bytes(labelled.read_bytes())
    wrong = {"bitwright.damage.tensors_sha256": Typed("0" * 64, "string")}
    rewritten(gguf.open(labelled), wrong, tmp_path / "wrong.gguf")
    (tmp_path / "none.gguf").write_bytes(b"none")
    for arguments, environment, code, message in (
        (["me/new", labelled], {"HF_TOKEN": ""}, 2, "pushing needs a login: hf auth login, or set HF_TOKEN"),
        (["me/new", labelled], {"HF_HUB_OFFLINE": "1"}, 2, "needs the hub, and HF_HUB_OFFLINE is set"),
        (["me/new", tmp_path / "odd <b>.gguf"], {}, 2, "a name of its own, of letters, digits and . _ + - alone"),
        (["me/new", labelled, labelled], {}, 2, "expected a name of its own"),
        (["me/new", tmp_path / "wrong.gguf"], {}, 1, "its label is of other weights: bitwright label wrong.gguf again"),
        (["me/new", tmp_path / "none.gguf"], {}, 1, "none.gguf"),
        (["me/new"], {}, 2, "FILE"),
        (["not a name", labelled], {}, 2, "not a name"),
    ):
        done = push(*arguments, **environment)
        assert done.code == code and message in done.err and "Traceback" not in done.err, (arguments, done.err)
    assert hub.commits == [] and hub.stored == {} and "me/new" not in hub.repos


def test_a_commit_in_between_is_not_overwritten(
    push: Push, hub: Hub, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Handler.place

    def meanwhile(handler: Handler, wanted: dict[str, Any]) -> dict[str, Any]:
        hub.heads["me/there"] = f"{7:040x}"
        return place(handler, wanted)

    monkeypatch.setattr(Handler, "place", meanwhile)
    done = push("me/there", labelled)
    assert done.code == 1 and "me/there: the hub answered" in done.err and done.err.count("\n") == 1
    assert hub.repos["me/there"]["README.md"] == OTHERS and hub.commits == []
