"""Files of a split set: what each holds, and that a set appears as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf as peer
import numpy as np
import pytest

from bitwright import formats
from bitwright.errors import UsageError
from bitwright.io import gguf
from bitwright.io.gguf import Typed, write_parts

METADATA = {"general.architecture": Typed("llama", "string"), "general.name": Typed("n" * 300, "string")}


def tensors(count: int = 7, rows: int = 10) -> list[Any]:
    f32, shape = formats.get("f32"), (rows, 32)
    return [(f"t{n}", shape, f32, lambda n=n: np.full(shape, n, np.float32)) for n in range(count)]


def test_a_small_file_stays_one(tmp_path: Path) -> None:
    assert write_parts(tmp_path / "m.gguf", METADATA, tensors(), 1 << 20) == [tmp_path / "m.gguf"]
    assert gguf.open(tmp_path / "m.gguf").tensor("t6").dequantize()[9, 31] == 6


@pytest.mark.parametrize("name", ["m.gguf", "m.GGUF", "m"])
def test_parts_are_no_larger_than_asked_and_read_as_one(tmp_path: Path, name: str) -> None:
    paths = write_parts(tmp_path / name, METADATA, tensors(), 3000)
    assert [path.name for path in paths] == [f"m-{n:05}-of-00004.gguf" for n in range(1, 5)]
    assert sorted(tmp_path.iterdir()) == paths and max(path.stat().st_size for path in paths) <= 3000
    found = gguf.open(paths[0])
    assert list(found.tensors) == [f"t{n}" for n in range(7)] and dict(found.metadata) == {
        key: value.value for key, value in METADATA.items()
    }
    for n in range(7):
        assert (found.tensor(f"t{n}").dequantize() == n).all()
    fields = [peer.GGUFReader(path).fields for path in paths]
    assert [field["split.no"].contents() for field in fields] == [0, 1, 2, 3]
    kinds = [fields[0][f"split.{key}"].types[0].name for key in ("no", "count", "tensors.count")]
    assert kinds == ["UINT16", "UINT16", "INT32"] and fields[3]["split.tensors.count"].contents() == 7
    assert "general.architecture" not in fields[1]


def test_what_fits_in_no_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tensor t0 alone takes .* bytes, more than a file may have"):
        write_parts(tmp_path / "m.gguf", METADATA, tensors(rows=100), 3000)
    with pytest.raises(UsageError, match="the metadata alone take .* bytes, more than a file may have"):
        write_parts(tmp_path / "m.gguf", METADATA, tensors(), 300)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    broken = tensors()
    broken[6] = (*broken[6][:3], lambda: b"short")
    with pytest.raises(UsageError, match="tensor t6: expected 1280 bytes"):
        write_parts(tmp_path / "m.gguf", METADATA, broken, 3000)
    assert list(tmp_path.iterdir()) == []
