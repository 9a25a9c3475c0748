"""Random files: what is written is read back, and damage is harmless or refused with the reader's errors."""

from __future__ import annotations

import math
from pathlib import Path

import ggufs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitwright import formats
from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.io import gguf

fast = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STORED = [format for format in formats.all() if format.ggml is not None]


def numbers(kind: str) -> st.SearchStrategy:
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind == "f":
        return st.floats(width=8 * dtype.itemsize, allow_nan=False)
    return st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def typed(kind: str) -> st.SearchStrategy:
    items = st.text(max_size=20) if kind == "string" else numbers(kind)
    scalars = st.builds(gguf.Typed, items, st.just(kind))
    return scalars | st.builds(gguf.Typed, st.lists(items, max_size=20), st.just(f"array[{kind}]"))


keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda key: not key.startswith(("split.", "general.alignment"))
)
metadata = st.dictionaries(keys, st.sampled_from(ggufs.TYPES).flatmap(typed), max_size=8)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15)


@st.composite
def tensor(draw: st.DrawFn) -> tuple[formats.Format, tuple[int, ...], bytes]:
    format = draw(st.sampled_from(STORED))
    rows = draw(st.lists(st.integers(1, 4), max_size=3))
    shape = (*rows, format.block_size * draw(st.integers(1, 3)))
    return format, shape, bytes([draw(st.integers(0, 255))]) * (math.prod(rows) * format.row_bytes(shape[-1]))


@fast
@given(
    values=metadata, tensors=st.dictionaries(names, tensor(), max_size=5), alignment=st.sampled_from([1, 8, 32, 4096])
)
def test_round_trip(tmp_path: Path, values: dict, tensors: dict, alignment: int) -> None:
    path = tmp_path / "m.gguf"
    values = values | {"general.alignment": gguf.Typed(alignment, "uint32")}
    gguf.write(
        path, values, [(name, shape, kind, lambda data=data: data) for name, (kind, shape, data) in tensors.items()]
    )
    file = gguf.open(path)
    assert list(file.metadata) == list(values) and list(file.tensors) == list(tensors)
    for key, value in values.items():
        assert file.metadata.value_type(key) == value.type
        got = file.metadata[key]
        assert got.tolist() == value.value if isinstance(got, np.ndarray) else got == value.value
    for name, (kind, shape, data) in tensors.items():
        read = file.tensor(name)
        assert (read.shape, read.format) == (shape, kind) and read.data.tobytes() == data
    before = path.read_bytes()
    infos = file.tensors.values()
    gguf.write(path, file.metadata, [(i.name, i.shape, i.format, lambda i=i: file.tensor(i.name).data) for i in infos])
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A valid file with every kind of thing in it."""
    path = tmp_path_factory.mktemp("whole") / "m.gguf"
    values = {**ggufs.METADATA, "general.alignment": 64}
    gguf.write(path, values, [*ggufs.tensors(2, "q8_0", (2, 32)), *ggufs.tensors(3, "f16", (5,))[2:]])
    return path.read_bytes()


def open_and_touch(path: Path, data: bytes) -> bool:
    """Whether the file is accepted; errors other than the reader's propagate."""
    path.write_bytes(data)
    try:
        file = gguf.open(path)
        dict(file.metadata)
        for name in file.tensors:
            file.tensor(name).data.sum()
    except (FileFormatError, UnsupportedError) as error:
        assert str(path) in str(error) and len(str(error)) < 1000
        return False
    return True


@fast
@given(st.data())
def test_changed_bytes(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        damaged[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    open_and_touch(tmp_path / "m.gguf", bytes(damaged))


def test_every_truncation_is_refused(tmp_path: Path, whole: bytes) -> None:
    end = max(info.offset + info.nbytes for info in opened(tmp_path, whole).tensors.values())
    assert [n for n in range(len(whole) + 1) if open_and_touch(tmp_path / "m.gguf", whole[:n])] == [
        *range(end, len(whole) + 1)
    ]


def opened(folder: Path, data: bytes) -> gguf.GGUF:
    (folder / "opened.gguf").write_bytes(data)
    return gguf.open(folder / "opened.gguf")


@fast
@given(st.binary(max_size=300), st.integers(0, 3), st.integers(0, 3))
def test_noise_after_a_good_header(tmp_path: Path, noise: bytes, tensors: int, values: int) -> None:
    open_and_touch(tmp_path / "m.gguf", ggufs.header(3, tensors, values) + noise)
