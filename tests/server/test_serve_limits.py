"""What happens when clients leave, come in crowds, or wait too long, and when the server ends."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from bitwright.engine.job import Job
from bitwright.engine.slots import common
from bitwright.engine.worker import Worker
from bitwright.server import app, http
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
    before = service.counted["predicted"]
    with httpx2.Client(base_url=web.base_url) as leaving:
        if stream:
            with leaving.stream("POST", "/v1/completions", json={**LONG, "stream": True}) as answer:
                next(answer.iter_lines())
        else:
            with pytest.raises(httpx2.TimeoutException):
                leaving.post("/v1/completions", json=LONG, timeout=0.5)
    assert eventually(lambda: service.worker.load == (0, 0))
    assert service.counted["predicted"] - before < LONG["max_tokens"]


def test_a_client_that_leaves_ends_the_reading_of_its_prompt(
    web: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, left = service.worker.batch.session, threading.Event()
    advance = session.advance

    def slow(*given: Any) -> Any:
        assert left.wait(60)
        return advance(*given)

    monkeypatch.setattr(session, "advance", slow)
    prompt = " ".join(f"reason {n}" for n in range(150))
    body = json.dumps({**LONG, "prompt": prompt})
    with socket.create_connection((web.base_url.host, web.base_url.port), 60) as connection:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        assert eventually(lambda: bool(service.worker.batch.running))
    assert eventually(lambda: any(own.job.cancelled for own in service.worker.batch.running))
    left.set()
    assert eventually(lambda: service.worker.load == (0, 0))
    ids = service.tokenizer.encode(prompt)
    assert max(common(own, ids) for own in session.ids) <= session.batch < len(ids)


def test_a_crowd_is_told_when_to_come_again(
    web: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = {"max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}
    asked = {"/v1/completions": LONG, "/v1/messages": question, "/v1/embeddings": {"input": "a"}}
    crowds = [
        (service_module, "QUEUE", 0, ["/v1/embeddings"]),
        (Worker, "load", (1, service_module.QUEUE + service.parallel), ["/v1/completions", "/v1/messages"]),
        (app, "INSIDE", 0, [*asked]),
        (http, "MOST_HELD", 0, [*asked]),
    ]
    for where, name, value, paths in crowds:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            for path in paths:
                answer = web.post(path, json=asked[path])
                assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
                assert answer.json()["error"]["type"] == "rate_limit_error"
                assert (answer.headers.get("connection") == "close") == (where in (app, http))
            assert web.get("/health").status_code == 200
    assert all(web.post(path, json={**body, "max_tokens": 1}).status_code == 200 for path, body in asked.items())


def test_many_prompts_of_one_request_wait_for_each_other(web: httpx2.Client, service: Service) -> None:
    count = service_module.QUEUE + service.parallel + 1
    answer = web.post("/v1/completions", json={"prompt": ["a"] * count, "max_tokens": 1})
    assert len(answer.json()["choices"]) == count


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_a_request_that_arrives_too_slowly_is_refused(
    web: httpx2.Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(http, "SLOWEST", 0.2)
    with socket.create_connection((web.base_url.host, web.base_url.port), 60) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode() + b'{"prompt": ')
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
    assert answer.startswith("HTTP/1.1 408") and '"timeout_error"' in answer


@pytest.mark.parametrize(
    ("path", "work", "body"),
    [("/tokenize", "encode", {"content": "a"}), ("/detokenize", "decode", {"tokens": [1]})],
)
def test_long_texts_keep_nobody_else_waiting_and_come_a_few_at_a_time(
    web: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch, path: str, work: str, body: dict[str, Any]
) -> None:
    begun, go_on, own = threading.Semaphore(0), threading.Event(), getattr(service.tokenizer, work)

    def slow(*given: Any, **more: Any) -> Any:
        begun.release()
        assert go_on.wait(60)
        return own(*given, **more)

    monkeypatch.setattr(service.tokenizer, work, slow)
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(web.post, path, json=body) for _ in range(service_module.THREADS + 2)]
        try:
            assert all(begun.acquire(timeout=60) for _ in range(service_module.THREADS))
            assert web.get("/health").status_code == 200 and not begun.acquire(timeout=0.2)
        finally:
            go_on.set()
        assert all(answer.result().status_code == 200 for answer in answers)


def test_a_client_that_leaves_within_its_request_is_no_error(
    web: httpx2.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection((web.base_url.host, web.base_url.port), 60) as connection:
        connection.sendall(b"POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    web.post("/completion", json={"prompt": "a", "n_predict": 1})
    assert "Traceback" not in capfd.readouterr().err


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


def test_spaces_keep_a_late_answer_alive(web: httpx2.Client, openai: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {**LONG, "max_tokens": 40}
    prompt = web.post("/v1/completions", json=asked)
    monkeypatch.setattr(http, "LATE", 0.01)
    late = web.post("/v1/completions", json=asked)
    assert prompt.text.startswith("{") and late.text.startswith("  ") and late.status_code == 200
    assert late.headers["content-type"] == prompt.headers["content-type"] == "application/json"
    assert late.json()["choices"] == prompt.json()["choices"]
    question = [{"role": "user", "content": "Count."}]
    assert openai.chat.completions.create(model="", messages=question, max_tokens=9).usage.completion_tokens == 9
    assert web.post("/v1/completions", json={"prompt": ""}).status_code == 400  # what is known at once


def test_a_late_answer_that_fails_breaks_off(
    web: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LATE", 0.01)
    monkeypatch.setattr(service, "timeout", 0.5)
    with pytest.raises(httpx2.RemoteProtocolError):
        web.post("/v1/completions", json=LONG)
    assert eventually(lambda: service.worker.load == (0, 0))


def test_a_late_answer_ends_when_its_client_leaves(
    web: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LATE", 0.01)
    leaving = httpx2.Client(base_url=web.base_url)
    with leaving, leaving.stream("POST", "/v1/completions", json=LONG) as answer:
        assert answer.status_code == 200
    assert eventually(lambda: service.worker.load == (0, 0))
    assert max(map(len, service.worker.batch.session.ids)) < 900
