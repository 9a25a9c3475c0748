"""Live questions: what is answered, how large a question may be, and who may ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from bitwright.explorer import app, models
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.subject import Subject
from bitwright.io import gguf

ASKED = {"prompt": "Once upon a time", "recipe": "q4_0"}
WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"json": {"recipe": "q4_0"}}, 400, "expected a text for 'prompt', got None"),
    ({"json": {**ASKED, "prompt": ["x"]}}, 400, "expected a text for 'prompt'"),
    ({"json": {**ASKED, "prompt": "x " * 300}}, 400, "expected a prompt of 1 to 96 tokens"),
    ({"json": {**ASKED, "recipe": "q4_9"}}, 400, "unknown recipe 'q4_9'"),
    ({"json": {**ASKED, "recipe": ""}}, 400, "unknown recipe ''"),
    ({"json": {**ASKED, "prompt": "x" * 9000}}, 413, "at most 8192 bytes"),
    ({"json": [1]}, 400, "expected a JSON object, got list"),
    ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "expected a question as JSON"),
    ({"content": b"[" * 8000, "headers": {"content-type": "application/json"}}, 400, "expected a question as JSON"),
    ({"content": b"{}"}, 415, "expected content of type application/json, got none"),
    ({"data": {"prompt": "x"}}, 415, "got application/x-www-form-urlencoded"),
]  # fmt: skip


@pytest.fixture(scope="module")
def client(stories260k: Path) -> TestClient:
    documents = Documents(Subject(stories260k, "stories260K", threads=1))
    return TestClient(app.application(documents, 8484), base_url="http://127.0.0.1:8484")


def test_a_question_is_answered(client: TestClient) -> None:
    found = client.post("/live/next-token", json=ASKED).json()
    assert found["prompt"] == ASKED["prompt"] and len(found["after"]) == len(found["tokens"])
    last = found["after"][-1]
    for whose in ("reference", "candidate"):
        assert sum(one[whose] for one in last["top"]) + last["rest"][whose] == pytest.approx(1)
    assert sum(one["nats"] for one in last["top"]) + last["rest"]["nats"] == pytest.approx(last["divergence"])
    assert last["losses"] is None and found["after"][0]["losses"][0] > 0


@pytest.mark.parametrize(("asked", "status", "why"), WRONG)
def test_other_questions_are_refused(client: TestClient, asked: dict[str, Any], status: int, why: str) -> None:
    answer = client.post("/live/next-token", **asked)
    assert answer.status_code == status and why in answer.json()["error"]


def test_other_sites_cannot_ask(client: TestClient) -> None:
    assert client.post("/live/next-token", json=ASKED, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/live/next-token").status_code == 404
    before = client.options("/live/next-token", headers={"access-control-request-method": "POST"})
    assert before.status_code == 405 and "access-control-allow-origin" not in before.headers


def test_a_model_of_too_short_a_context_is_said(stories260k: Path, tmp_path: Path) -> None:
    file, path = gguf.open(stories260k), tmp_path / "short.gguf"
    tensors = [(t.name, t.shape, t.format, lambda t=t: file.tensor(t.name).data) for t in file.tensors.values()]
    gguf.write(path, file.metadata.typed() | {"llama.context_length": 64}, tensors)
    documents = Documents(Subject(path, "short"))
    assert "trained on texts of 64 tokens, and 512 are needed" in documents["compounding"]["unavailable"]
    assert not [name for name in documents.names() if name.startswith(("survival", "plans"))]


def test_a_model_too_large_to_wait_for_is_said(stories260k: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MOST", 2e5)
    documents = Documents(Subject(stories260k, "large"))
    for name in ("next-token", "compounding", "removal"):
        assert "these pages run models of up to 0.0 billion" in documents[name]["unavailable"]
    assert documents["sizes"]["parameters"] > 2e5  # what does not run it is shown


def test_a_model_that_does_not_run_is_said(tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    gguf.write(path, {"general.architecture": "rwkv7"}, [])
    documents = Documents(Subject(path, "other"))
    assert "rwkv7" in documents["next-token"]["unavailable"]
    assert [name for name in documents.names() if name.startswith("next-token")] == ["next-token"]
