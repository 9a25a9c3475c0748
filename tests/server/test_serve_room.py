"""A server whose memory holds one text and a half answers all the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from serving import serving

from bitwright.engine import load
from bitwright.server.service import Service


def test_requests_take_turns_within_the_memory_that_there_is(
    stories260k: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(stories260k)
    room = 3 * engine.session().memory.bytes // 2
    service = Service(engine.replace(room=room), "tiny", parallel=3, cache=1 << 30, guesses=15)
    batch, seen = service.worker.batch, list[tuple[int, int]]()
    step = batch.step

    def watched() -> bool:
        found = step()
        seen.append((len(batch.running), batch.session.memory.bytes_in_use))
        return found

    monkeypatch.setattr(batch, "step", watched)
    with serving(service) as address, ThreadPoolExecutor() as pool:

        def answer(id: int) -> httpx2.Response:
            body = {"prompt": [id] * 300, "max_tokens": 100, "ignore_eos": True}
            return httpx2.post(f"{address}/v1/completions", json=body, timeout=300)

        for found in pool.map(answer, (300, 301, 302)):
            assert found.status_code == 200 and found.json()["usage"]["completion_tokens"] == 100
    assert max(running for running, _ in seen) == 1
    assert max(bytes for _, bytes in seen) <= room
