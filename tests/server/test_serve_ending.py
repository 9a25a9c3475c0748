"""Servers that end, and what is there after they start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from serving import serving
from test_serve_limits import LONG, eventually

from bitwright.server import app
from bitwright.server.service import Service


def test_answers_end_with_the_server(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "DRAIN", 0.1)
    own = Service(service.engine, "ending", parallel=4, cache=1 << 28)
    question = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 900, "ignore_eos": True, "stream": True}
    asked = [
        ("/v1/completions", LONG),
        ("/v1/chat/completions", question),
        ("/v1/messages", question),
        ("/v1/responses", {"input": "a", "max_output_tokens": 900, "ignore_eos": True, "stream": True}),
    ]
    with ThreadPoolExecutor() as pool:
        with serving(own) as address:
            answers = [pool.submit(httpx2.post, address + path, json=body, timeout=60) for path, body in asked]
            assert eventually(lambda: len(own.worker.batch.running) == len(asked))
        whole, chat, messages, responses = [answer.result() for answer in answers]
    assert whole.status_code == 503 and whole.json()["error"]["type"] == "unavailable_error"
    assert '"unavailable_error"' in chat.text and chat.text.endswith("data: [DONE]\n\n")
    assert '"overloaded_error"' in messages.text.rpartition("event: error")[2]
    assert '"status": "failed"' in responses.text.rpartition("event: response.failed")[2]
    assert "Traceback" not in capfd.readouterr().err


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
