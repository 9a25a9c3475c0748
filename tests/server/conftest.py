"""A server over SmolLM2 on loopback, in a thread of the tests' process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from scripted import Scripted
from serving import serving

from bitwright.engine import load
from bitwright.server.service import Service

CONTEXT = 1024


@pytest.fixture(scope="session")
def service(smollm2: Path) -> Service:
    """SmolLM2, with room for three answers at a time, and guessing as `serve` does."""
    return Service(load(smollm2, context=CONTEXT), "smollm2", parallel=3, cache=1 << 28, guesses=15)


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
