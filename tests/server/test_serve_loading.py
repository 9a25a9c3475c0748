"""While the model is loaded, the port answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from serving import serving
from test_serve_limits import eventually

from bitwright.server import listening

QUESTION = {"max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}
# The command line with a model that is loaded once a file is there, and refused if that file says so.
SLOW = """
import sys, time
from pathlib import Path
from bitwright.cli import main, models
from bitwright.errors import BitwrightError
load, gate = models.load, Path(sys.argv.pop())
def slow(*arguments, **options):
    while not gate.exists():
        time.sleep(0.02)
    if text := gate.read_text():
        raise BitwrightError(text)
    return load(*arguments, **options)
models.load = slow
main()
"""


@pytest.fixture(scope="module")
def loading() -> Iterator[httpx2.Client]:
    """A client of a server without a model."""
    with serving(None) as address, httpx2.Client(base_url=address, timeout=60) as client:
        yield client


def test_health_says_what_llama_cpps_says(loading: httpx2.Client) -> None:
    for path in ("/health", "/v1/health"):
        answer = loading.get(path)
        error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
        assert answer.status_code == 503 and answer.json() == {"status": "loading model", "error": error}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/metrics")]
)
def test_others_say_when_to_come_again(loading: httpx2.Client, method: str, path: str) -> None:
    answer = loading.request(method, path, json=QUESTION)
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["message"] == "Loading model" and "status" not in answer.json()


def test_anthropics_clients_hear_it_in_their_shape(loading: httpx2.Client) -> None:
    assert loading.post("/v1/messages", json=QUESTION).json()["error"]["type"] == "overloaded_error"


def test_what_needs_no_model_is_answered(loading: httpx2.Client) -> None:
    assert loading.get("/").status_code == 200 and loading.get("/nothing").status_code == 404


def test_the_key_is_asked_for_first() -> None:
    with serving(None, "sk-secret") as address:
        assert httpx2.get(f"{address}/v1/models").status_code == 401
        assert httpx2.get(f"{address}/v1/models", headers={"x-api-key": "sk-secret"}).status_code == 503


def test_a_server_answers_from_its_start(smollm2: Path, tmp_path: Path) -> None:
    with listening.listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    gate, address = tmp_path / "gate", f"http://127.0.0.1:{port}"

    def status() -> int:
        try:
            return int(httpx2.get(f"{address}/health").status_code)
        except httpx2.TransportError:
            return 0

    for said in ("", "the file is damaged"):
        command = [sys.executable, "-c", SLOW, "serve", str(smollm2), "--port", str(port), str(gate)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert eventually(lambda: status() == 503)
            (tmp_path / "new").write_text(said)
            (tmp_path / "new").replace(gate)
            if said:
                assert process.wait(60) == 1
            else:
                assert eventually(lambda: status() == 200)
        finally:
            process.terminate()
            _, complaint = process.communicate(timeout=60)
            gate.unlink(missing_ok=True)
        assert complaint == (f"bitwright: error: {said}\n" if said else "")
