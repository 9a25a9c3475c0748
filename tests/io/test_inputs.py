"""Protected inputs: what may be written while they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bitwright.errors import UsageError
from bitwright.io import atomic, inputs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_text("old")
    return tmp_path / "a"


def write(path: Path) -> None:
    with atomic.replacing(path) as out:
        out.write(b"new")


def test_a_file_is_protected_under_every_name_until_the_block_ends(file) -> None:
    os.link(file, file.with_name("hard"))
    file.with_name("soft").symlink_to("hard")
    with inputs.protected():
        inputs.add(file)
        for name in ("a", "hard", "soft"):
            with pytest.raises(UsageError, match=r"the same command reads that file"):
                write(file.with_name(name))
        write(file.with_name("b"))
    assert file.read_text() == "old"
    write(file)
    assert file.read_text() == "new"


def test_blocks_nest(file) -> None:
    other = file.with_name("other")
    other.write_text("old")
    with inputs.protected():
        inputs.add(file)
        with inputs.protected():
            inputs.add(other)
            for path in (file, other):
                with pytest.raises(UsageError):
                    atomic.check(path)
        assert atomic.check(other) == other
        with pytest.raises(UsageError):
            atomic.check(file)


def test_what_the_work_is_to_change_can_be_released(file) -> None:
    with inputs.protected():
        inputs.add(file)
        inputs.release(file)
        inputs.add(file)
        write(file)
    assert file.read_text() == "new"


def test_without_a_block_nothing_is_protected(file) -> None:
    inputs.add(file)
    write(file)


def test_a_pipe_or_a_removed_folder_is_no_place_to_write(tmp_path, monkeypatch) -> None:
    ends = os.pipe()
    with pytest.raises(UsageError, match="not a regular file"):
        atomic.check(f"/dev/fd/{ends[1]}")
    for end in ends:
        os.close(end)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="No such file or directory"):
        atomic.check("x")


def test_outputs_that_cannot_be_written_are_refused_in_advance(tmp_path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for name, why in (("circle", "symbolic links"), ("no/such/file", "no folder"), ("x" * 300, "name too long")):
        with pytest.raises(UsageError, match=f"(?i)cannot write .*{why}"):
            atomic.check(tmp_path / name)
