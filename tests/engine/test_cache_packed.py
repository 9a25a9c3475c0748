"""Packed weights in a file: the same numbers, without packing, in pages that the system may drop."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright.engine import Engine, load
from bitwright.errors import BitwrightError, UsageError
from bitwright.hardware import paging
from bitwright.io.packed import PackedFile
from bitwright.quantizers import quantize

IDS = list(range(1, 40))


@pytest.fixture
def model(stories260k, tmp_path, monkeypatch) -> Path:
    """stories260K in Q4_0, with a cache of its own."""
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    quantize(stories260k, "q4_0", tmp_path / "m.gguf", method="rtn")
    return tmp_path / "m.gguf"


def packed(folder: Path) -> Path:
    [path] = (folder / "cache/packed").iterdir()
    return path


def test_the_same_numbers_without_packing(model, tmp_path) -> None:
    expected = load(model).session().prefill(IDS)
    first = load(model, cache_packed=True).session()
    np.testing.assert_array_equal(first.prefill(IDS), expected)
    path = packed(tmp_path)
    assert path.stat().st_size == first.footprint["packed"] == load(model).session().footprint["packed"]
    again = load(model, cache_packed=True).session()
    np.testing.assert_array_equal(again.prefill(IDS), expected)
    path.write_bytes(bytes(path.stat().st_size))  # in place: sessions read the file, and nothing packs
    assert not np.array_equal(load(model, cache_packed=True).session().prefill(IDS), expected)
    assert packed(tmp_path) == path


def test_what_the_packed_bytes_depend_on(model, tmp_path) -> None:
    """Another tier, another version of the file, and a file of another length have packed weights of their own."""
    expected = load(model).session().prefill(IDS)
    load(model, cache_packed=True).session()
    path = packed(tmp_path)
    load(model, tier="scalar", cache_packed=True).session().prefill(IDS)
    assert len(list(path.parent.iterdir())) == 1 + (load(model).tier != "scalar")
    shutil.copy(model, tmp_path / "other.gguf")
    (tmp_path / "other.gguf").replace(model)
    load(model, cache_packed=True).session()
    assert len(list(path.parent.iterdir())) > 1 + (load(model).tier != "scalar")
    for made in path.parent.iterdir():
        made.write_bytes(made.read_bytes()[:-64])
    np.testing.assert_array_equal(load(model, cache_packed=True).session().prefill(IDS), expected)


def test_a_replaced_tensor_is_packed_in_memory(model, tmp_path) -> None:
    engine = load(model, cache_packed=True)
    session, name = engine.session(), "blk.0.ffn_down.weight"
    changed = {**engine.model.tensors}
    tensor = type(changed[name])(name, changed[name].shape, changed[name].format, np.zeros_like(changed[name].data))
    other = session.program.replace({name: tensor})
    assert other.bank is session.program.bank and packed(tmp_path).stat().st_size < other.bank.bytes
    with pytest.raises(UsageError, match="only the packed weights of a GGUF file"):
        Engine(engine.model.with_tensors({**changed, name: tensor}), engine.options).session()


def test_a_full_disk_leaves_nothing(model, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(BitwrightError, match="cannot write .*: No space left on device"):
        load(model, cache_packed=True).session()
    assert not list((tmp_path / "cache/packed").iterdir())


def test_a_folder_that_cannot_be_made(model, tmp_path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BitwrightError, match="cannot write"):
        PackedFile([model], "scalar").room(64).__enter__()


MEMORY = """
import sys
from bitwright.engine import load
session = load(sys.argv[1], context=64, threads=1, cache_packed=sys.argv[2] == "True").session()
session.prefill([1, 2, 3])
print(session.footprint["packed"], open("/proc/self/status").read())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts a process's own pages apart from a file's")
def test_the_weights_are_pages_of_the_file(smollm2, tmp_path, monkeypatch) -> None:
    """A process's own memory is smaller by all packed weights."""
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))

    def own(cached: bool) -> tuple[int, int]:
        command = [sys.executable, "-c", MEMORY, str(smollm2), str(cached)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return int(out.split()[0]), 1024 * int(re.findall(r"RssAnon:\s+(\d+) kB", out)[0])

    size, in_memory = own(False)
    own(True)
    assert own(True)[1] < in_memory - 0.95 * size


def test_a_model_that_memory_does_not_hold(model, monkeypatch) -> None:
    engine = load(model)
    assert paging.paging(engine) is None
    monkeypatch.setattr(paging.detect, "available", lambda: engine.weights - 1)
    monkeypatch.setattr(paging, "disk_rate", lambda path: 1e9)
    found = paging.paging(engine)
    assert found and (found.weights, found.available) == (engine.weights, engine.weights - 1)
    assert found.tokens_per_second == 1e9 / engine.model.bytes_per_token


def test_the_disk_is_timed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(paging, "SAMPLE", 1 << 20)
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    assert paging.disk_rate(path) is None
    path.write_bytes(os.urandom(3 << 20))
    rate = paging.disk_rate(path)
    assert rate is None or rate > 0
