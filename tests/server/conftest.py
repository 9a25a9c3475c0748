"""A server over SmolLM2 on loopback, in a thread of the tests' process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from scripted import Scripted

from bitwright.engine import load
from bitwright.server import app, listening
from bitwright.server.service import Service

CONTEXT = 1024


@contextlib.contextmanager
def serving(service: Service, key: str | None = None, origins: tuple[str, ...] = ()) -> Iterator[str]:
    """The address of a server, until the block ends."""
    socket = listening.listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app.application(service, "127.0.0.1", key, origins), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listening.address(socket)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def service(smollm2: Path) -> Service:
    """SmolLM2, with room for three answers at a time."""
    return Service(load(smollm2, context=CONTEXT), "smollm2", parallel=3, cache=1 << 28)


@pytest.fixture(scope="session")
def address(service: Service) -> Iterator[str]:
    """Where the server answers."""
    with serving(service) as found:
        yield found


@pytest.fixture(scope="session")
def web(address: str) -> Iterator[httpx2.Client]:
    """A client of the server."""
    with httpx2.Client(base_url=address, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def openai(address: str) -> Any:
    """OpenAI's own client."""
    return pytest.importorskip("openai").OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="session")
def anthropic(address: str) -> Any:
    """Anthropic's own client."""
    return pytest.importorskip("anthropic").Anthropic(base_url=address, api_key="none", max_retries=0)


@pytest.fixture(scope="session")
def scripted(service: Service) -> Iterator[tuple[Scripted, str]]:
    """A service that writes what it is told, and where it answers."""
    own = Scripted(service)
    with serving(own) as address:
        yield own, address
