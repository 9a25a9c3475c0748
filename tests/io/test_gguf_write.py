"""The GGUF writer: bitwright and other implementations read back what is written, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ggufs
import numpy as np
import pytest

from bitwright import formats
from bitwright.errors import UsageError
from bitwright.io import gguf

ROUND_TRIPS = ("gguf-cases/ok_all_kv_types.gguf", "gguf-cases/ok_base.gguf", "gguf-cases/ok_1_element.gguf")
ROUND_TRIPS += ("models/stories260K/stories260K.f32.gguf", "tokenizers/ggml-vocab-gpt-2.gguf")


def copy(source: Path, target: Path) -> gguf.GGUF:
    file = gguf.open(source)
    infos = file.tensors.values()
    tensors = [(info.name, info.shape, info.format, lambda info=info: file.tensor(info.name).data) for info in infos]
    assert gguf.write(target, file.metadata, tensors) == target.stat().st_size
    return file


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_copies_are_byte_exact(data: Path, tmp_path: Path, name: str) -> None:
    copy(data / name, tmp_path / "copy.gguf")
    assert (tmp_path / "copy.gguf").read_bytes() == (data / name).read_bytes()


def test_a_file_can_be_replaced_while_it_is_open(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes((data / ROUND_TRIPS[1]).read_bytes())
    before = path.read_bytes()
    file = copy(path, path)
    assert path.read_bytes() == before and bytes(file.tensor("a.weight").data.reshape(-1)[:4]) in before


def test_a_custom_alignment(tmp_path: Path) -> None:
    gguf.write(tmp_path / "m.gguf", {"general.alignment": 256}, ggufs.tensors(3, "q8_0", (1, 32)))
    file = gguf.open(tmp_path / "m.gguf")
    assert [info.offset % 256 for info in file.tensors.values()] == [0, 0, 0]
    assert (file.tensor("t2").data == 3).all()


def test_types_of_plain_values(tmp_path: Path) -> None:
    plain = {
        "u32": (7, "uint32"), "i32": (-7, "int32"), "u64": (1 << 40, "uint64"), "i64": (-(1 << 40), "int64"),
        "f": (0.5, "float32"), "b": (False, "bool"), "s": ("text", "string"), "np": (np.uint8(3), "uint8"),
        "ints": ([1, -2], "array[int32]"), "floats": ([1.0, 2], "array[float32]"), "texts": (("a",), "array[string]"),
        "array": (np.array([1, 2], np.int16), "array[int16]"), "bools": ([True], "array[bool]"),
    }  # fmt: skip
    gguf.write(tmp_path / "m.gguf", {key: value for key, (value, _) in plain.items()}, [])
    metadata = gguf.open(tmp_path / "m.gguf").metadata
    assert {key: metadata.value_type(key) for key in metadata} == {key: kind for key, (_, kind) in plain.items()}
    assert all(np.array_equal(metadata[key], value) for key, (value, _) in plain.items())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (gguf.Typed(256, "uint8"), "expected values of uint8, got 256"),
        (gguf.Typed(np.array([300]), "array[uint8]"), "expected values of uint8, got 300 to 300"),
        (gguf.Typed(-1, "uint32"), "uint32"), (gguf.Typed(1.5, "int32"), "expected int32, got float64"),
        (gguf.Typed("3", "int32"), "expected int32"), (gguf.Typed(1, "bool"), "expected bool"),
        (gguf.Typed([1], "uint32"), "shape"), (gguf.Typed(1, "array[uint32]"), "shape"),
        (gguf.Typed(1e300, "float32"), "overflow"), (gguf.Typed(1, "uint128"), "uint128"),
        (gguf.Typed([], "array[array]"), "array"), (gguf.Typed(3, "string"), "expected a string, got 3"),
        (gguf.Typed([3], "array[string]"), "expected a string, got 3"),
        ([], "no GGUF type"), (None, "no GGUF type"), ([[1]], "no"), (1 << 70, "int64"), ("\ud800", "surrogates"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=f"metadata 'key': .*{message}"):
        gguf.write(tmp_path / "m.gguf", {"key": value}, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["", "\udcff", "x" * 65536])
def test_keys_that_do_not_fit(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match="metadata"):
        gguf.write(tmp_path / "m.gguf", {key: 1}, [])


@pytest.mark.parametrize("alignment", [0, 3, -8, "32", 32.0])
def test_alignments_that_do_not_fit(tmp_path: Path, alignment: object) -> None:
    with pytest.raises(UsageError, match="general.alignment"):
        gguf.write(tmp_path / "m.gguf", {"general.alignment": alignment}, [])


@pytest.mark.parametrize(
    ("name", "shape", "format", "nbytes", "message"),
    [
        ("t", (2, 33), "q4_0", 36, "q4_0 blocks of 32 do not divide 33"),
        ("t", (), "f32", 4, "1 to 4 dimensions"),
        ("t", (1, 1, 1, 1, 1), "f32", 4, "1 to 4 dimensions"),
        ("t", (0, 32), "f32", 0, "at least 1"),
        ("t", (2, 32), "q4_0", 35, "expected 36 bytes of data, got 35"),
        ("t", (2, 32), "q4_0", 37, "expected 36 bytes of data, got 37"),
        ("n" * 64, (1,), "f32", 4, "1 to 63 bytes, got 64"),
        ("", (1,), "f32", 4, "1 to 63 bytes, got 0"),
    ],
)
def test_tensors_that_do_not_fit(
    tmp_path: Path, name: str, shape: tuple, format: str, nbytes: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        gguf.write(tmp_path / "m.gguf", {}, [(name, shape, formats.get(format), lambda: bytes(nbytes))])
    assert not list(tmp_path.iterdir())


def test_repeated_names_and_formats_gguf_lacks(tmp_path: Path) -> None:
    tensor = ggufs.tensors(1)[0]
    with pytest.raises(UsageError, match="tensor t0 occurs more than once"):
        gguf.write(tmp_path / "m.gguf", {}, [tensor, tensor])
    with pytest.raises(UsageError, match="GGUF has no type for the format float8_e4m3fn"):
        gguf.write(tmp_path / "m.gguf", {}, [("t", (32,), formats.get("float8_e4m3fn"), lambda: bytes(32))])


def test_arrays_are_written_as_their_bytes(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    for data in (values, values.T.copy().T, values.tobytes(), bytearray(values.tobytes()), memoryview(values)):
        gguf.write(tmp_path / "m.gguf", {}, [("t", (3, 4), formats.get("f32"), lambda data=data: data)])
        assert np.array_equal(gguf.open(tmp_path / "m.gguf").tensor("t").dequantize(), values)


def test_one_tensor_in_memory_at_a_time(tmp_path: Path) -> None:
    """Twenty tensors of 16 MiB under a limit that holds three of them."""
    script = """
import resource, sys
from bitwright import formats
from bitwright.io import gguf
f32, shape = formats.get("f32"), (4096, 1024)
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + (48 << 20), resource.RLIM_INFINITY))
gguf.write(sys.argv[1], {}, [(f"t{i}", shape, f32, lambda: bytes(16 << 20)) for i in range(20)])
"""
    path = tmp_path / "m.gguf"
    subprocess.run([sys.executable, "-c", script, path], check=True)
    assert path.stat().st_size > 20 * 16 << 20


def test_the_gguf_package_reads_the_same(tmp_path: Path) -> None:
    from gguf import GGUFReader

    gguf.write(tmp_path / "m.gguf", ggufs.METADATA, ggufs.tensors(3, "q4_0", (2, 64)))
    reader = GGUFReader(tmp_path / "m.gguf")
    assert reader.fields["t.text"].contents() == "größer ☃" and reader.fields["t.tokens"].contents() == ["a", "", "ü"]
    assert reader.fields["t.u8"].contents() == 255 and reader.fields["t.scores"].contents() == [1.0, -2.5]
    assert [tensor.name for tensor in reader.tensors] == ["t0", "t1", "t2"]
    assert all((tensor.data == i + 1).all() for i, tensor in enumerate(reader.tensors))


def test_llama_cpp_loads_what_is_written(stories260k: Path, tmp_path: Path) -> None:
    """Runs in a separate process: llama.cpp ends the process when it refuses a file."""
    copied = gguf.open(stories260k)
    metadata = copied.metadata.typed() | {"general.name": "copied", "bitwright.note": ["written", "here"]}
    infos = reversed(copied.tensors.values())
    gguf.write(
        tmp_path / "m.gguf",
        metadata,
        [(info.name, info.shape, info.format, lambda info=info: copied.tensor(info.name).data) for info in infos],
    )
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    script = """
import sys, xllamacpp as xlc
params = xlc.CommonParams()
params.model.path, params.n_ctx, params.cpuparams.n_threads = sys.argv[1], 64, 1
params.warmup = False
server = xlc.Server(params)
answer = server.handle_completions({"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0})
assert answer["choices"][0]["text"], answer
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "m.gguf"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
