"""How long texts may be on a machine, by the memory that it is said to have."""

from __future__ import annotations

from pathlib import Path

import pytest
import synthetic_model

from bitwright.engine import Engine, load
from bitwright.hardware import detect
from bitwright.hardware.room import LEFT, Room

TRAINED = 20_000


def made(folder: Path, architecture: str = "llama", trained: int = TRAINED, **more: object) -> Engine:
    metadata = synthetic_model.metadata_of(architecture, context_length=trained, **more)
    return load(synthetic_model.write(folder / f"{architecture}-{trained}.gguf", metadata,
                                      synthetic_model.weights_of(metadata)))  # fmt: skip


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return made(tmp_path_factory.mktemp("models"))


def room(memory: int | None, *engines: Engine) -> Room:
    return Room(engines, [5] * len(engines), memory)


def test_the_context_is_as_long_as_memory_allows(llama: Engine) -> None:
    whole = llama.replace(context=TRAINED).session().memory.bytes
    assert room(whole, llama).longest() == TRAINED
    assert room(whole - 1, llama).longest() == 19 * 1024
    per_token = sum(room(None, llama).needed(64)) // 64
    assert room(10 * 1024 * per_token, llama).longest() == 10 * 1024
    assert room(10 * 1024 * per_token - 1, llama).longest() == 9 * 1024
    for little in (0, 4096 * per_token - 1, 5000 * per_token, None):
        assert room(little, llama).longest() == 4096
    half = llama.replace(kv="q8_0")
    assert room(10 * 1024 * per_token, half).longest() == 17 * 1024


@pytest.mark.parametrize(
    "architecture", ["llama", "gemma3", "gemma4", "qwen35", "qwen3moe", "deepseek2", "lfm2", "granitehybrid"]
)
@pytest.mark.parametrize("context", [96, 1024, TRAINED])
def test_what_a_text_needs_is_what_it_takes(tmp_path: Path, architecture: str, context: int) -> None:
    """Windows, latent vectors and states are counted as the engine's memory counts them, and weights as they are
    packed."""
    engine = made(tmp_path, architecture).replace(context=context)
    session = engine.session(5)
    memory = session.memory
    assert room(None, engine).needed(context) == [memory.bytes_in_use + memory.bytes_for(context)]
    assert engine.weights == session.footprint["packed"]


def test_memory_is_what_is_available_beside_the_weights(llama: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "available", lambda: 80_000_000)
    assert Room.here([llama, llama], [5, 2]).bytes == 80_000_000 * (LEFT - 1) // LEFT - 2 * llama.weights
    monkeypatch.setattr(detect, "available", lambda: llama.weights)
    assert Room.here([llama], [5]).bytes == 0
    monkeypatch.setattr(detect, "available", lambda: llama.weights - 1)  # they are read from the disk
    assert Room.here([llama], [5]).bytes == (llama.weights - 1) // LEFT
    monkeypatch.setattr(detect, "available", lambda: None)
    assert Room.here([llama], [5]).bytes is None


def test_a_draft_shares_the_room_and_bounds_the_context(llama: Engine, tmp_path: Path) -> None:
    draft = made(tmp_path, trained=6000, block_count=3)
    both = room(1 << 30, llama, draft)
    assert both.longest() == 6000
    served, guessing = both.divided(6000)
    assert served.context == guessing.context == 6000
    assert served.options.room == guessing.options.room * 7 // 3  # type: ignore[operator]
    assert 0 <= (1 << 30) - served.options.room - guessing.options.room <= 1  # type: ignore[operator]
    per_token = sum(room(None, llama, draft).needed(64)) // 64
    assert room(5 * 1024 * per_token, llama, draft).longest() == 5 * 1024


def test_one_text_has_room_however_little_there_is(llama: Engine) -> None:
    (engine,) = room(0, llama).divided(TRAINED)
    assert engine.options.room == llama.replace(context=TRAINED).session().memory.bytes
    (engine,) = room(None, llama).divided(4096)
    assert engine.options.room is None


def test_long_texts_of_phi_are_for_the_user_to_choose(tmp_path: Path) -> None:
    """With a context beyond the original one, LongRoPE rotates short texts by other factors, too."""
    engine = made(tmp_path, "phi3", rope__scaling__original_context_length=8192)
    assert room(1 << 40, engine).longest() == 8192 and engine.model.natural_context == 8192
    short, long = (room(1 << 40, engine).divided(context)[0] for context in (8192, 8193))
    assert (short.config.is_long, long.config.is_long) == (False, True)
    yarn = made(tmp_path, "olmo2")  # stretched to one and the same length, whatever the context
    assert room(1 << 40, yarn).longest() == TRAINED
