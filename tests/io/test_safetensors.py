"""Headers of safetensors files: their contents, and malformed ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from bitwright.errors import FileFormatError
from bitwright.io.safetensors import HeaderEntry, read_header


def test_a_header_lists_the_tensors(tmp_path: Path) -> None:
    entries = {"a.weight": {"dtype": "BF16", "shape": [3, 2], "data_offsets": [0, 12]}}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(12))
    assert read_header(path) == [HeaderEntry("a.weight", "BF16", (3, 2))]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x02", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 2) + b"{x",
     struct.pack("<Q", 12) + b'{"a": {"b":1', struct.pack("<Q", 9) + b'{"a": {}}',
     struct.pack("<Q", 32) + b'{"a":{"dtype":"F16","shape":[{}'],
)  # fmt: skip
def test_malformed_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"model\.safetensors(, byte [08])?: expected "):
        read_header(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "byte 8: expected JSON, got lists or objects nested too deeply"),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "byte 8: expected JSON, got lists or objects nested too deeply"),
        ("9" * 10_000, "byte 8: expected JSON"),
        ('{"a": 7}', "the shape of 'a', a list of sizes, got no such key"),
        ('{"a": {"dtype": 7, "shape": [1]}}', "dtype to be a string, got integer 7"),
        ('{"a": {"dtype": "F16", "shape": [1e400]}}', "the shape of 'a', a list of sizes, got array of 1 number: inf"),
        ('{"a": {"dtype": "F16", "shape": ["8"]}}', "the shape of 'a', a list of sizes, got array of 1 string: '8'"),
        ('{"a": {"dtype": "F16", "shape": [-1]}}', "the shape of 'a', a list of sizes, got array of 1 integer: -1"),
        ('{"a": {"dtype": "F16", "shape": [[[[]]]]}}', "the shape of 'a', a list of sizes, got array of 1 array"),
    ],
    ids=range(9),
)  # fmt: skip
def test_hostile_headers_are_refused(tmp_path: Path, header: str, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    with pytest.raises(FileFormatError, match=message):
        read_header(path)
