"""The GGUF reader: what it finds in good files, and its messages about bad ones."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import ggufs
import numpy as np
import pytest
from data_files import DATA

from bitwright.errors import BitwrightError, FileFormatError, UnsupportedError, UsageError
from bitwright.io import gguf

CASES = DATA / "gguf-cases"
EXPECT = json.loads((CASES / "expect.json").read_text())
# What bitwright chooses where the specification does not decide.
ACCEPTED = ("kv_arch_wrong_type", "kv_head_count_0", "kv_token_type_u8", "tensor_offset_gap", "data_short_padding")
REFUSED = (
    "kv_key_empty",
    "kv_key_invalid_utf8",
    "kv_array_nested_depth2",
    "kv_align_says_64_data_32",
    "tensor_ndims_0",
)
STRINGS = ggufs.string("k") + bytes([9, 0, 0, 0, 8, 0, 0, 0])  # the head of an array of strings


def touch(file: gguf.GGUF) -> None:
    dict(file.metadata)
    for name in file.tensors:
        file.tensor(name).data.sum()


@pytest.mark.parametrize("case", EXPECT, ids=lambda case: case["file"])
def test_case(case: dict) -> None:
    path = CASES / case["file"]
    expect = case["expect"]
    if expect == "either":
        assert (path.stem in ACCEPTED) != (path.stem in REFUSED)
        expect = "accept" if path.stem in ACCEPTED else "reject"
    if expect == "accept":
        touch(gguf.open(path))
        return
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError) as caught:
            gguf.open(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    error = caught.value
    assert error.path == str(path) and error.offset is not None and 0 <= error.offset <= path.stat().st_size
    assert error.expected and error.got and "\n" not in str(error)


def test_every_case_has_a_verdict() -> None:
    assert {path.name for path in CASES.glob("*.gguf")} == {case["file"] for case in EXPECT}


def test_a_long_name_makes_no_long_error(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(ggufs.file([ggufs.info("n" * 9000, (7,), 2, 0)]))  # 7 is no whole block of q4_0
    with pytest.raises(
        FileFormatError, match=r"expected rows of nnn.* \.\.\. n+ in whole q4_0 blocks of 32, got 7"
    ) as caught:
        gguf.open(path)
    assert len(str(caught.value)) < 500


def test_all_value_types(tmp_path: Path) -> None:
    values = {
        **{f"s.{name}": gguf.Typed(1, name) for name in ggufs.TYPES if name not in ("string", "bool")},
        **{
            f"a.{name}": gguf.Typed([1, 0, 1], f"array[{name}]")
            for name in ggufs.TYPES
            if name not in ("string", "bool")
        },
        **ggufs.METADATA,
        "a.bool": gguf.Typed([True, False], "array[bool]"),
    }
    gguf.write(tmp_path / "m.gguf", values, [])
    metadata = gguf.open(tmp_path / "m.gguf").metadata
    assert list(metadata) == list(values) and len(metadata) == len(values)
    assert metadata["t.text"] == "größer ☃" and metadata["t.tokens"] == ["a", "", "ü"] and metadata["t.none"] == []
    assert metadata["t.bool"] is True and metadata["s.int64"] == 1 and type(metadata["s.uint8"]) is int
    assert metadata["t.f32"] == np.float32(0.1)
    assert metadata["a.uint16"].tolist() == [1, 0, 1] and metadata["a.uint16"].dtype == np.uint16
    assert metadata["a.bool"].tolist() == [True, False]
    assert metadata.value_type("a.int8") == "array[int8]" and metadata.value_type("t.u8") == "uint8"
    assert metadata.length("t.tokens") == 3 and metadata.length("t.u8") == 1
    assert metadata["t.tokens"] is metadata["t.tokens"]  # decoded once
    with pytest.raises(KeyError):
        metadata["absent"]


def test_tensors_are_read_only_views(tmp_path: Path) -> None:
    gguf.write(tmp_path / "m.gguf", {}, ggufs.tensors(3, "q4_0", (2, 5, 64)))
    file = gguf.open(tmp_path / "m.gguf")
    assert list(file.tensors) == ["t0", "t1", "t2"] and file.file_bytes == (tmp_path / "m.gguf").stat().st_size
    tensor = file.tensor("t1")
    assert tensor.shape == (2, 5, 64) and tensor.data.shape == (2, 5, 36) and (tensor.data == 2).all()
    assert not tensor.data.flags.writeable and not tensor.data.flags.owndata
    with pytest.raises(UsageError, match="unknown tensor 'x'"):
        file.tensor("x")


def test_large_vocabulary_is_not_decoded_by_opening(tmp_path: Path) -> None:
    tokens = [f"token {i}" for i in range(100_000)]
    gguf.write(tmp_path / "m.gguf", {"tokenizer.ggml.tokens": tokens}, [])
    tracemalloc.start()
    file = gguf.open(tmp_path / "m.gguf")
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()
    assert file.metadata["tokenizer.ggml.tokens"] == tokens


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (b"GGUF" + (3).to_bytes(4, "big") + bytes(16), 4, "little-endian byte order, got version 3 in big-endian"),
        (
            ggufs.file([ggufs.info("a", (8,), 0, 0), ggufs.info("b", (8,), 0, 0)], bytes(64)),
            82,
            "at byte 32 of the data",
        ),
        (ggufs.file([ggufs.info("a", (8, 0), 0, 0)]), 37, "1 to 2^63-1 elements of a"),
        (ggufs.file([ggufs.info("a", (1 << 32, 1 << 32), 0, 0)]), 37, "1 to 2^63-1 elements of a"),
        (
            ggufs.file([], values=[STRINGS + (2).to_bytes(8, "little") + ggufs.string("abc") + b"\x64" + bytes(9)]),
            60,
            "last string of k",
        ),
        (
            ggufs.file([], values=[STRINGS + (9).to_bytes(8, "little") + ggufs.string("abc")]),
            41,
            "at most 1 elements of k",
        ),
        (ggufs.file([], values=[STRINGS + (3).to_bytes(8, "little") + b"\x40" + bytes(30)]), 49, "the end after 1"),
    ],
)
def test_refusals_name_the_byte(tmp_path: Path, data: bytes, offset: int, message: str) -> None:
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(FileFormatError) as caught:
        gguf.open(tmp_path / "m.gguf")
    assert message in str(caught.value) and caught.value.offset == offset


def test_bool_other_than_0_and_1(tmp_path: Path) -> None:
    entry = ggufs.string("flag") + (7).to_bytes(4, "little") + b"\2"
    (tmp_path / "m.gguf").write_bytes(ggufs.file([], values=[entry]))
    with pytest.raises(FileFormatError, match="byte 40: expected a bool of 0 or 1, got 2"):
        gguf.open(tmp_path / "m.gguf").metadata["flag"]


def test_known_type_without_a_format_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(ggufs.file([ggufs.info("a.weight", (8,), 27, 0)], bytes(64)))
    with pytest.raises(UnsupportedError, match=r"m\.gguf, byte 52.*tensor a\.weight.* I64 is not supported; .*q4_0"):
        gguf.open(tmp_path / "m.gguf")


def test_unreadable_paths(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.gguf", tmp_path):
        with pytest.raises(BitwrightError, match="cannot read"):
            gguf.open(path)


def split(folder: Path, changed: dict | None = None, count: int = 3) -> list[Path]:
    """A split set with one tensor per file; `changed` replaces split values in the last part."""
    paths = [folder / f"m-{i + 1:05}-of-{count:05}.gguf" for i in range(count)]
    for i, path in enumerate(paths):
        values = {"no": gguf.Typed(i, "uint16"), "count": gguf.Typed(count, "uint16"), "tensors.count": count}
        values |= changed or {} if i == count - 1 else {}
        metadata = {f"split.{key}": value for key, value in values.items()}
        gguf.write(path, metadata | ({"general.name": "joined"} if i == 0 else {}), [ggufs.tensors(count)[i]])
    return paths


def test_split_files_are_joined(tmp_path: Path) -> None:
    paths = split(tmp_path)
    file = gguf.open(paths[0])
    assert dict(file.metadata) == {"general.name": "joined"} and file.paths == paths
    assert [int(file.tensor(f"t{i}").data[0, 0]) for i in range(3)] == [1, 2, 3]
    assert file.file_bytes == sum(path.stat().st_size for path in paths)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"no": 1}, "expected part 3 of 3, got part 2 of 3"),
        ({"count": 4}, "expected part 3 of 3, got part 3 of 4"),
        ({"no": "2"}, "split.no to be a whole number from 0 to 99999, got string '2'"),
    ],
)
def test_split_files_that_disagree(tmp_path: Path, changed: dict, message: str) -> None:
    paths = split(tmp_path, changed)
    with pytest.raises(FileFormatError, match=message):
        gguf.open(paths[0])


def test_split_sets_that_are_incomplete_or_misnamed(tmp_path: Path) -> None:
    paths = split(tmp_path)
    with pytest.raises(FileFormatError, match=r"expected the first part, m-00001-of-00003\.gguf, got part 2 of 3"):
        gguf.open(paths[1])
    renamed = paths[0].rename(tmp_path / "other.gguf")
    with pytest.raises(FileFormatError, match=r"named like -00001-of-00003\.gguf, got other\.gguf"):
        gguf.open(renamed)
    renamed.rename(paths[0])
    paths[2].write_bytes(paths[1].read_bytes())
    with pytest.raises(FileFormatError, match="expected part 3 of 3, got part 2 of 3"):
        gguf.open(paths[0])
    paths[2].unlink()
    with pytest.raises(BitwrightError, match=r"cannot read .*m-00003-of-00003\.gguf"):
        gguf.open(paths[0])


def test_split_sets_with_repeated_or_missing_tensors(tmp_path: Path) -> None:
    paths = split(tmp_path)
    place = {"split.no": gguf.Typed(2, "uint16"), "split.count": gguf.Typed(3, "uint16")}
    gguf.write(paths[2], place, ggufs.tensors(1))
    with pytest.raises(FileFormatError, match="tensors that no other part has, got t0 again"):
        gguf.open(paths[0])
    gguf.write(paths[2], place, [])
    with pytest.raises(FileFormatError, match="expected 3 tensors in all parts"):
        gguf.open(paths[0])


def test_real_models(smollm2: Path, gemma3: Path) -> None:
    for path, tensors, vocabulary in ((smollm2, 272, 49152), (gemma3, 236, 262144)):
        file = gguf.open(path)
        assert len(file.tensors) == tensors and len(file.metadata["tokenizer.ggml.tokens"]) == vocabulary
        assert file.tensors["token_embd.weight"].shape[0] == vocabulary
