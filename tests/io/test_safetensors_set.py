"""Sets of safetensors files: what is read from them, and sets that break the format."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from checkpoints import header_bytes, safetensors, write_set

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io.safetensors import INDEX, open_set

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.arange(5, dtype=np.float16),
    "c": np.arange(8, dtype=np.uint16).reshape(4, 2),
    "empty": np.zeros((0, 4), np.float32),
    "scalar": np.float32(7).reshape(()),
}


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_tensor_lies_where_the_set_says(tmp_path: Path, parts: int) -> None:
    found = open_set(write_set(tmp_path, TENSORS, parts))
    assert len(found.paths) == parts and found.tensors.keys() == TENSORS.keys()
    for name, values in TENSORS.items():
        stored = found.tensors[name]
        assert stored.shape == values.shape
        assert found.buffers[stored.part][stored.offset : stored.offset + stored.nbytes] == values.tobytes()


def test_files_outside_of_the_set_are_not_read(tmp_path: Path) -> None:
    write_set(tmp_path, TENSORS, 2)
    (tmp_path / "consolidated.safetensors").write_bytes(b"broken")
    (tmp_path / "model.extra.safetensors").write_bytes(b"broken")
    assert len(open_set(tmp_path).paths) == 2


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"a": entry(0, 12, [2, 2])}, 12, "'a', F32 of shape .2, 2., to have 128 bits, got 96"),
        ({"a": entry(4, 8, [1])}, 8, "'a' from byte 0 of the data on, inside 8 bytes, got data_offsets 4 to 8"),
        ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, 12, "'b' from byte 8 .* data_offsets 4 to 12"),
        ({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, 12, "'b' from byte 4 .* data_offsets 8 to 12"),
        ({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, 4, "'b' from byte 4 .* data_offsets 0 to 4"),
        ({"a": entry(0, 8, [2])}, 4, "inside 4 bytes, got data_offsets 0 to 8"),
        ({"a": entry(0, 4, [1])}, 9, "the end of the file after the last tensor, got 5 bytes more"),
        ({}, 3, "the end of the file after the last tensor, got 3 bytes more"),
        ({"a": entry(8, 4, [1])}, 8, "to have 32 bits, got -32"),
        ({"a": entry(0, 4, [1], "Q4")}, 4, "'a' to be of a known dtype, got 'Q4'"),
        ({"a": entry(0, 1, [3], "F4")}, 1, "'a', F4 of shape .3,., to have 12 bits"),
        ({"a": entry(0, 4, [1 << 48] * 32)}, 4, "'a', F32 of shape"),
        ({"a": entry(0, 4, [1] * 33)}, 4, "the shape of 'a', a list of sizes, got array of 33"),
        ({"a": {"dtype": "F32", "shape": [1]}}, 4, "data_offsets of 'a', .* got no such key"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, 4, "data_offsets of 'a'"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 1 << 64]}}, 4, "data_offsets of 'a'"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4.0]}}, 4, "data_offsets of 'a'"),
        ({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, 4, "the shape of 'a'"),
        ('{"a": {}, "a": {}}', 0, "JSON, got the name 'a' twice"),
        ('{"a": {"dtype": "F32", "dtype": "F16"}}', 0, "the name 'dtype' twice"),
    ],
    ids=range(20),
)
def test_files_that_break_the_format_are_refused(tmp_path: Path, header: object, data: int, message: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(header_bytes(header) + bytes(data))  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match=rf"model\.safetensors, byte \d+: expected .*{message}"):
        open_set(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("[]", "weight_map to be an object of names and files, got null"),
        ('{"weight_map": {}}', "weight_map to be an object"),
        ('{"weight_map": {"a": 3}}', "a .safetensors file of this folder for 'a', got integer 3"),
        ('{"weight_map": {"a": "../x.safetensors"}}', "a .safetensors file of this folder for 'a'"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "a .safetensors file of this folder for 'a'"),
        ('{"weight_map": {"a": "model.safetensors", "z": "model.safetensors"}}', "the tensor 'z', as .* says, got no"),
        ('{"weight_map": {"a": "model.safetensors", "b": "twice.safetensors"}}', "'b', which model.* has too"),
    ],
)
def test_an_index_that_does_not_match_is_refused(tmp_path: Path, index: str, message: str) -> None:
    write_set(tmp_path, TENSORS)
    (tmp_path / "twice.safetensors").write_bytes(safetensors({"b": TENSORS["b"]}))
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(FileFormatError, match=message):
        open_set(tmp_path)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"a file of weights \(\*\.safetensors\), got none"):
        open_set(tmp_path)
    write_set(tmp_path, TENSORS, 2)
    second = tmp_path / "model-00002-of-00002.safetensors"
    second.write_bytes(b"")
    with pytest.raises(FileFormatError, match="byte 0: expected a safetensors file, got an empty file"):
        open_set(tmp_path)
    second.unlink()
    with pytest.raises(BitwrightError, match="cannot read .*00002-of-00002.safetensors: No such file"):
        open_set(tmp_path)


def test_damaged_files_never_read_outside(tmp_path: Path) -> None:
    """Truncations, bit flips and replaced digits: refused in one line, or every tensor still lies in its file."""
    whole, rng, path, refused = safetensors(TENSORS), random.Random(19), tmp_path / "model.safetensors", 0
    for trial in range(300):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            del damaged[rng.randrange(1, len(whole)) :]
        for _ in range(rng.randint(0, 3) if trial % 3 == 0 else 1):
            at = rng.randrange(len(damaged))
            damaged[at] = rng.choice(b'0123456789,:]}"') if trial % 3 == 1 else damaged[at] ^ 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = open_set(tmp_path)
        except BitwrightError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 1000
        else:
            assert all(0 <= t.offset <= t.offset + t.nbytes <= len(damaged) for t in found.tensors.values())
    assert refused > 150


def test_the_data_of_an_index_are_json(tmp_path: Path) -> None:
    write_set(tmp_path, TENSORS, 2)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}})[:-2])
    with pytest.raises(FileFormatError, match="expected JSON"):
        open_set(tmp_path)
