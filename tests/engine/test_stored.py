"""Texts kept on disk: what was read once is not read again, whatever happened in between."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import synthetic_model
from test_batch import Forced, run, text

from bitwright.engine import Engine
from bitwright.engine import stored as stored_module
from bitwright.engine.batch import Batch
from bitwright.engine.stored import Prefixes
from bitwright.errors import BitwrightError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and files worth writing for its short texts."""
    monkeypatch.setattr(stored_module, "LEAST", 32)
    monkeypatch.setattr(stored_module, "cache_folder", lambda: tmp_path)
    return tmp_path


def batch_of(engine: Engine, limit: int = 1 << 30) -> Batch:
    session = engine.session(8)
    return Batch(session, 2, 1 << 40, Prefixes(session, limit))


def files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.kv"))


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen35"])
def test_a_new_process_continues_where_the_old_one_was(
    make_long: Callable[[str], Engine],
    architecture: str,
    cache: Path,
) -> None:
    engine, first = make_long(architecture), text(150)
    old = batch_of(engine)
    run(old, Forced(first, text(4), marks=[140]))
    old.close()
    later = Forced([*first[:140], *text(20)], text(6), marks=[150])
    new = batch_of(engine)
    run(new, later)
    later.check(engine)
    assert later.cached == 140
    new.close()


def test_what_is_in_memory_is_not_read_from_disk(make_long: Callable[[str], Engine], cache: Path) -> None:
    engine, first = make_long("llama"), text(150)
    batch = batch_of(engine)
    run(batch, Forced(first, []))
    batch.slots.prefixes.flush()  # type: ignore[union-attr]
    (path,) = files(cache)
    path.unlink()
    again = Forced([*first, *text(5)], text(2))
    run(batch, again)
    again.check(engine)
    assert again.cached == 150


def test_a_longer_text_replaces_its_beginnings(make_long: Callable[[str], Engine], cache: Path) -> None:
    batch, first = batch_of(make_long("llama")), text(100)
    run(batch, Forced(first, []))
    run(batch, Forced([*first, *text(100)], []))
    batch.close()
    assert len(files(cache)) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "other"])
def test_damaged_files_are_noticed_and_removed(make_long: Callable[[str], Engine], damage: str, cache: Path) -> None:
    engine, first = make_long("llama"), text(150)
    old = batch_of(engine)
    run(old, Forced(first, []))
    old.close()
    (path,) = files(cache)
    new = batch_of(engine)
    whole = path.read_bytes()
    match damage:
        case "flip":
            path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        case "cut":
            path.write_bytes(whole[:-1])
        case "gone":
            path.unlink()
        case "other":
            path.write_bytes(b"not ours at all, but long enough for a header and more")
        case "empty":
            path.write_bytes(b"")
    job = Forced(first, text(3))
    run(new, job)
    job.check(engine)
    assert job.cached == 0
    new.close()
    if damage in ("cut", "empty", "other"):
        path.write_bytes(whole[:-1])
        assert batch_of(engine).slots.prefixes.held == [] and not path.exists()  # type: ignore[union-attr]


def test_the_limit_holds_and_what_was_used_last_stays(make_long: Callable[[str], Engine], cache: Path) -> None:
    engine, texts = make_long("llama"), [text(100) for _ in range(4)]
    one = batch_of(engine)
    run(one, Forced(texts[0], []))
    one.close()
    size = files(cache)[0].stat().st_size
    batch = batch_of(engine, limit=3 * size + 100)
    oldest = files(cache)[0]
    for own in texts:
        run(batch, Forced([*own, 1], []))
        batch.slots.prefixes.flush()  # type: ignore[union-attr]
        for path in files(cache):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))
        assert sum(path.stat().st_size for path in files(cache)) <= 3 * size + 100
    assert len(files(cache)) == 3 and oldest not in files(cache)
    batch.close()


def test_another_model_layout_or_rounding_has_another_folder(make_long: Callable[[str], Engine], cache: Path) -> None:
    """Another context has one only if texts are rotated by other factors then."""
    engine, phi = make_long("llama"), make_long("phi3")
    others = [engine, engine.replace(kv="q8_0"), engine.replace(activations="ggml"), make_long("gemma3")]
    others += [phi, phi.replace(context=synthetic_model.CONTEXT)]
    folders = [Prefixes(own.session(2), 1 << 30).folder for own in [*others, engine.replace(context=256)]]
    assert len({*folders}) == 6 and folders[0] == folders[-1]


def test_the_folder_is_for_its_owner_only(make_long: Callable[[str], Engine], cache: Path) -> None:
    batch = batch_of(make_long("llama"))
    run(batch, Forced(text(60), []))
    batch.close()
    (path,) = files(cache)
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_full_disk_ends_the_keeping_not_the_server(
    make_long: Callable[[str], Engine],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object, **__: object) -> object:
        raise BitwrightError("cannot write prefixes: No space left on device")

    engine = make_long("llama")
    batch = batch_of(engine)
    monkeypatch.setattr(stored_module.atomic, "replacing", full)
    jobs = [Forced(text(60), text(2)) for _ in range(3)]
    for job in jobs:
        run(batch, job)
    batch.close()
    for job in jobs:
        job.check(engine)
    assert "No space left" in caplog.text and files(cache) == []


def test_a_killed_writer_leaves_whole_files(make_long: Callable[[str], Engine], cache: Path) -> None:
    """What lies under a final name is complete; what does not is swept away."""
    batch = batch_of(make_long("llama"))
    run(batch, Forced(text(60), []))
    batch.close()
    part = files(cache)[0].parent / ".bitwright-0123456789ab.part"
    part.write_bytes(b"half")
    Prefixes(batch.session, 1 << 30)
    assert not part.exists()
    assert len(files(cache)) == 1
