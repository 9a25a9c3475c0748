"""The explorer on SmolLM2 in a real browser: one server and one browser for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sites import live
from watched_page import Watched

from bitwright.explorer.exhibits import Documents
from bitwright.explorer.subject import Subject


@pytest.fixture(scope="session")
def documents(smollm2: Path) -> Documents:
    """The documents of the built-in model."""
    return Documents(Subject(smollm2, "smollm2-135m", threads=2))


@pytest.fixture(scope="session")
def site(documents: Documents) -> Iterator[str]:
    """The address of a server with those documents."""
    with live(documents) as address:
        yield address


@pytest.fixture(scope="session")
def watched(browser: Any, site: str) -> Iterator[Watched]:
    """A desktop page. Every test that uses it also shows that nothing went wrong on it."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield Watched(context.new_page(), site)
    context.close()


@pytest.fixture
def page(watched: Watched) -> Iterator[Watched]:
    """The desktop page, clean of what went wrong before."""
    watched.wrong.clear()
    yield watched
    assert not watched.wrong
