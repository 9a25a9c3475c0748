"""Interrupted writes: the old file stays intact, and no partial file ever has the final name."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import ggufs
import pytest

from bitwright import system
from bitwright.errors import BitwrightError, UsageError
from bitwright.io import gguf
from bitwright.io.atomic import claimed, replacing, scratch, sweep


@pytest.fixture(params=["new", "old"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path to write to: free, or that of an older file."""
    if request.param == "old":
        (tmp_path / "m.gguf").write_bytes(b"old")
    return tmp_path / "m.gguf"


def contents(target: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in target.parent.iterdir()}


def test_success_replaces_and_leaves_nothing_else(target: Path) -> None:
    with replacing(target) as file:
        file.write(b"new")
        assert not target.exists() or target.read_bytes() == b"old"
    assert contents(target) == {"m.gguf": b"new"}
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_an_exception_leaves_everything_as_it_was(target: Path, error: BaseException) -> None:
    before = contents(target)
    with pytest.raises(type(error)), replacing(target) as file:
        file.write(b"half")
        raise error
    assert contents(target) == before


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_at_any_moment(target: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = contents(target)
    tensors = ggufs.tensors()
    if call == "write":
        tensors[1] = (*tensors[1][:3], fail)
    else:
        monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], fail)
    with pytest.raises(BitwrightError, match=r"cannot write .*m\.gguf: No space left on device"):
        gguf.write(target, {}, tensors)
    assert contents(target) == before


SCRIPT = """
import os, resource, signal, sys
sys.path.insert(0, sys.argv[3])
import ggufs
from bitwright.io import gguf
if sys.argv[2] == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
tensors = ggufs.tensors(8, shape=(256, 64))
if sys.argv[2] == "kill":
    tensors[5] = (*tensors[5][:3], lambda: os.kill(os.getpid(), signal.SIGKILL))
gguf.write(sys.argv[1], {}, tensors)
"""


def write_in_a_process(target: Path, how: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", SCRIPT, target, how, Path(ggufs.__file__).parent]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_real_write_past_the_limit(target: Path) -> None:
    before = contents(target)
    done = write_in_a_process(target, "limit")
    assert "BitwrightError: cannot write" in done.stderr and "File too large" in done.stderr
    assert contents(target) == before


def test_a_file_system_that_fills_up(tmp_path: Path) -> None:
    """Writes to a new file system of 256 KiB, if the kernel allows mounting one."""
    mount = f"mount -t tmpfs -o size=256k none {tmp_path} && printf old > {tmp_path}/m.gguf"
    tried = (
        subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True) if shutil.which("unshare") else None
    )
    if tried is None or tried.returncode:
        pytest.skip("this user may not mount a file system")
    write = f'"$0" -c "$1" {tmp_path}/m.gguf full {Path(ggufs.__file__).parent}'
    shell = f"{mount}; {write}; ls -A {tmp_path}; cat {tmp_path}/m.gguf"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", shell, sys.executable, SCRIPT], capture_output=True, text=True)
    assert "BitwrightError: cannot write" in done.stderr and "No space left on device" in done.stderr
    assert done.stdout == "m.gguf\nold"


def test_a_killed_writer(target: Path) -> None:
    before = contents(target)
    done = write_in_a_process(target, "kill")
    assert done.returncode == -signal.SIGKILL
    after = contents(target)
    left = {name: after.pop(name) for name in list(after) if name.endswith(".part")}
    assert after == before and len(left) == 1  # what cannot be removed has another name
    with replacing(target.with_name("another")) as file:
        file.write(b"new")
    assert contents(target) == {**before, "another": b"new"}  # and the next writer removes it


def test_what_a_running_writer_has_begun_stays(tmp_path: Path) -> None:
    with replacing(tmp_path / "one") as one:
        one.write(b"1")
        with replacing(tmp_path / "two") as two:
            two.write(b"2")
        sweep(tmp_path)
    assert contents(tmp_path / "one") == {"one": b"1", "two": b"2"}


def test_only_dead_parts_are_swept_away(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / ".bitwright-0.part").symlink_to("kept")
    os.mkfifo(tmp_path / ".bitwright-1.part")
    (tmp_path / ".other-2.part").write_bytes(b"")
    (tmp_path / ".bitwright-3.part").mkdir()
    (tmp_path / ".bitwright-3.part/wheel").write_bytes(b"half")
    (tmp_path / ".bitwright-4.part").write_bytes(b"half")
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"kept", ".bitwright-0.part", ".other-2.part"}
    with scratch(tmp_path) as folder:
        sweep(tmp_path)
        assert folder.is_dir() and folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"old")
    for mode in (0o600, 0o640, 0o444, 0o755):
        (tmp_path / "m").chmod(mode)
        with replacing(tmp_path / "m") as file:
            assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
        assert (tmp_path / "m").stat().st_mode & 0o777 == mode


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("disk/real")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk/real").read_bytes() == b"new"


def test_only_files_are_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(UsageError, match="not a regular file"), replacing(path):
            pass
    with pytest.raises(BitwrightError, match="there is no folder"), replacing(tmp_path / "no/such/folder"):
        pass


def test_names_as_long_as_a_file_system_allows(tmp_path: Path) -> None:
    for name in ("ü" * 127, "🙂" * 63, "x" * 255):
        with replacing(tmp_path / name) as file:
            file.write(b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_claim_is_held_by_one_at_a_time_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "result"
    with claimed(path, wait=False) as first, claimed(path, wait=False) as second:
        assert first and not second
        sweep(tmp_path)  # not what is claimed
        with claimed(path, wait=False) as third:
            assert not third
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), claimed(path, wait=True) as again:
        assert again and 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_another_took_before_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is swept away and made anew by another, so that the lock is that of a file without a name."""
    path, lock = tmp_path / "entry", system.lock

    def late(descriptor: int, wait: bool = False) -> bool:
        monkeypatch.setattr(system, "lock", lock)
        next(tmp_path.iterdir()).unlink()
        others.enter_context(claimed(path, wait=False))
        return lock(descriptor, wait)

    monkeypatch.setattr(system, "lock", late)
    with contextlib.ExitStack() as others, claimed(path, wait=False) as own:
        assert not own
