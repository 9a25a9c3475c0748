"""The context that `run` and `serve` choose, and that others do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli.support import Outcome

from bitwright.cli import models, serve
from bitwright.engine import Engine, load
from bitwright.engine.conversation import Conversation
from bitwright.hardware import detect
from bitwright.hardware.room import Room
from bitwright.server.service import KEPT, Service

LENGTH = b"llama.context_length"


@pytest.fixture
def longer(stories260k: Path, tmp_path: Path) -> Path:
    """stories260K, as if it were trained on 32,768 tokens."""
    data, path = bytearray(stories260k.read_bytes()), tmp_path / "longer.gguf"
    at = data.index(LENGTH) + len(LENGTH) + 4
    data[at : at + 4] = (1 << 15).to_bytes(4, "little")
    path.write_bytes(data)
    return path


@pytest.fixture
def memory(longer: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Says that this machine has room for a text of so many tokens."""
    engine = load(longer)

    def has(tokens: int) -> None:
        needed = sum(Room([engine], [1], None).needed(tokens))
        monkeypatch.setattr(detect, "available", lambda: -(-(needed + engine.weights) * 8 // 7))

    return has


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """The engines that conversations are opened with."""
    found: list[Engine] = []
    begin = Conversation.__init__

    def opened(own: Conversation, engine: Engine, *more: object, **options: object) -> None:
        found.append(engine)
        begin(own, engine, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Conversation, "__init__", opened)
    return found


def test_run_takes_the_context_that_memory_allows(
    bitwright: Callable[..., Outcome], longer: Path, memory: Callable[[int], None], asked: list[Engine]
) -> None:
    for tokens, options in ((1 << 15, ()), (9 << 10, ()), (100, ()), (9 << 10, ("-c", "2k")), (100, ("-c", "16k"))):
        memory(tokens)
        found = bitwright("run", longer, "Once", "-n", 2, *options)
        assert found.code == 0
        assert ("are free: choose a smaller" in found.err) == (tokens == 100)
    assert [engine.context for engine in asked] == [1 << 15, 9 << 10, 4096, 2048, 1 << 14]


def test_others_do_not_depend_on_memory(longer: Path, memory: Callable[[int], None]) -> None:
    memory(1 << 15)
    assert models.load(str(longer)).context == 4096


@pytest.mark.parametrize("draft", ["off", "itself"])
def test_serve_shares_what_memory_there_is(
    longer: Path, memory: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, draft: str
) -> None:
    class Stop(Exception):
        pass

    def served(engine: Engine, name: str, parallel: int, *more: object) -> Service:
        found.append((engine, parallel, more[4:]))
        raise Stop

    found: list[tuple[Engine, int, tuple[Engine, ...]]] = []
    monkeypatch.setattr("bitwright.server.service.Service", served)
    memory(20 << 10)
    with pytest.raises(Stop):
        serve.serve(str(longer), port=0, parallel=2, draft="off" if draft == "off" else str(longer))
    ((engine, parallel, drafts),) = found
    assert parallel == 2 and len(drafts) == (draft == "itself")
    assert engine.context == (20 << 10 if draft == "off" else 9 << 10)  # half, less the draft's weights
    assert engine.options.room and engine.session(2 + KEPT).memory.room == engine.options.room
