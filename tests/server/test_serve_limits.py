"""What happens when clients leave, come in crowds, or wait too long, and when the server ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bitwright.engine.batch import Job
from bitwright.server import service as service_module
from bitwright.server.service import Service

LONG: dict[str, Any] = {"prompt": "Once upon a time", "max_tokens": 900, "ignore_eos": True, "temperature": 0}


def eventually(happens: Callable[[], bool]) -> bool:
    """Whether something happens within a minute."""
    end = time.monotonic() + 60
    while not (found := happens()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_answer(web: httpx2.Client, service: Service, stream: bool) -> None:
    with httpx2.Client(base_url=web.base_url) as leaving:
        if stream:
            with leaving.stream("POST", "/v1/completions", json={**LONG, "stream": True}) as answer:
                next(answer.iter_lines())
        else:
            with pytest.raises(httpx2.TimeoutException):
                leaving.post("/v1/completions", json=LONG, timeout=0.5)
    assert eventually(lambda: service.worker.load == (0, 0))
    batch = service.worker.batch
    assert max(map(len, batch.session.ids)) < 900


def test_a_crowd_is_told_when_to_come_again(web: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "QUEUE", -100)
    question = {"max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}
    for path, body in (("/v1/completions", LONG), ("/v1/messages", question)):
        answer = web.post(path, json=body)
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["type"] == "rate_limit_error"


def test_an_answer_that_takes_too_long_is_ended(
    web: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "timeout", -1.0)
    answer = web.post("/v1/completions", json=LONG)
    assert answer.status_code == 504 and answer.json()["error"]["type"] == "timeout_error"
    streamed = web.post("/v1/completions", json={**LONG, "stream": True}).text
    assert '"timeout_error"' in streamed and streamed.endswith("data: [DONE]\n\n")


def test_a_job_that_fails_is_told_in_one_line(web: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise service_module.BitwrightError("the model computed nan as a logit: its weights are damaged")

    monkeypatch.setattr(Job, "next", broken)
    monkeypatch.setattr("bitwright.server.generation.Generation.next", broken)
    answer = web.post("/v1/completions", json=LONG)
    assert answer.status_code == 500 and "weights are damaged" in answer.json()["error"]["message"]
    assert '"server_error"' in web.post("/v1/completions", json={**LONG, "stream": True}).text


def test_comments_keep_a_quiet_stream_alive(web: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitwright.server.http.QUIET", 0.0)
    lines = web.post("/v1/completions", json={**LONG, "stream": True, "max_tokens": 4}).text.split("\n\n")
    assert ": still working" in lines
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    assert len([chunk for chunk in chunks if chunk["choices"][0]["text"]]) == 4


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_server_goes_on(smollm2: Path, tmp_path: Path, how: signal.Signals) -> None:
    """What a prompt of some hundred tokens left on disk survives both ways to end."""
    text = "A long list of things to buy: " + ", ".join(f"{n} apples" for n in range(300))
    command = [sys.executable, "-m", "bitwright", "serve", str(smollm2), "--port", "0", "--ctx", "2048", "-np", "1"]
    environment = os.environ | {"BITWRIGHT_CACHE": str(tmp_path)}
    found = []
    for turn in range(2):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stderr is not None
        try:
            address = process.stdout.readline().split()[0].removesuffix("/v1")
            answer = httpx2.post(f"{address}/completion", json={"prompt": text, "n_predict": 1}, timeout=300).json()
            found.append(answer["timings"]["cache_n"])
            if how is signal.SIGKILL or turn:
                assert eventually(lambda: bool(list(tmp_path.rglob("*.kv"))))
        finally:
            process.send_signal(how)
            process.wait(60)
            rest = process.stderr.read()
        assert "Traceback" not in rest and "leaked" not in rest, rest
    assert found[0] == 0 and found[1] > 600
