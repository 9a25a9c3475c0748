"""Bytes and weights of other implementations: golden vectors, the gguf package, libgguf, and real models."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import gguf
import libgguf
import numpy as np
import pytest
from formats.vectors import GGML, assert_same_bits, blocks, names

from bitwright import formats
from bitwright.formats import Format
from bitwright.io.gguf import open as open_gguf

VECTORS = [
    "F16",
    "BF16",
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "Q8_0",
    "Q2_K",
    "Q3_K",
    "Q4_K",
    "Q5_K",
    "Q6_K",
    "TQ1_0",
    "TQ2_0",
    "MXFP4",
    "NVFP4",
    "IQ2_XXS",
    "IQ2_XS",
    "IQ2_S",
    "IQ3_XXS",
    "IQ3_S",
    "IQ1_S",
    "IQ1_M",
    "IQ4_NL",
    "IQ4_XS",
]
QUANTIZED = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4"]
KNOWN = [f for f in GGML if f.ggml in set(gguf.GGMLQuantizationType)]
IN_GGUF = [f for f in KNOWN if f.name not in ("float32", "q8_k")]
IN_LIBGGUF = [f for f in IN_GGUF if f.name not in ("float16", "bfloat16")]


def ggml_type(format: Format) -> gguf.GGMLQuantizationType:
    return gguf.GGMLQuantizationType(format.ggml)


@pytest.fixture(scope="module")
def vectors(data: Path) -> Path:
    return data / "quant-vectors"


def test_every_vector_is_tested(vectors: Path) -> None:
    index = json.loads((vectors / "index.json").read_text())["types"]
    assert sorted(index) == sorted(VECTORS)
    assert sorted(name for name, entry in index.items() if "quantize" in entry) == sorted(QUANTIZED)


@pytest.mark.parametrize("name", VECTORS)
def test_dequantize_vectors(vectors: Path, name: str) -> None:
    data = np.fromfile(vectors / f"{name}.q.bin", np.uint8)
    assert_same_bits(formats.get(name).dequantize(data), np.fromfile(vectors / f"{name}.deq.f32.bin", np.float32))


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantize_vectors(vectors: Path, name: str) -> None:
    x = np.fromfile(vectors / "x.f32.bin", np.float32).reshape(16, 1024)
    got = formats.get(name).quantize(x)
    assert np.array_equal(got.ravel(), np.fromfile(vectors / f"{name}.from_x.bin", np.uint8))


@pytest.mark.parametrize(("name", "decoded"), [("Q1_0", 874668477), ("Q2_0", 928893343)])
def test_formats_newer_than_the_vectors(data: Path, name: str, decoded: int) -> None:
    """Bytes of llama-quantize 11434, and the CRC-32 of the float32 values that it decodes them to."""
    format, golden = formats.get(name), Path(__file__).parent.parent / f"golden/{name}.from_x.bin"
    x = np.fromfile(data / "quant-vectors/x.f32.bin", np.float32).reshape(16, 1024)
    packed = np.fromfile(golden, np.uint8)
    assert np.array_equal(format.quantize(x).ravel(), packed)
    assert zlib.crc32(format.dequantize(packed).astype("<f4").tobytes()) == decoded


@pytest.mark.parametrize("format", KNOWN, ids=names(KNOWN))
def test_sizes_equal_ggmls(format: Format) -> None:
    assert (format.block_size, format.block_bytes) == gguf.GGML_QUANT_SIZES[ggml_type(format)]
    assert formats.get(ggml_type(format).name) is format


@pytest.mark.parametrize("format", IN_GGUF, ids=names(IN_GGUF))
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # the gguf package warns when it multiplies NaN scales
def test_random_blocks_decode_as_in_gguf_and_libgguf(format: Format) -> None:
    data = blocks(format, 60 if format.block_size > 1 else 5000)
    got = format.dequantize(data)
    if format.name != "q1_0":
        assert_same_bits(got, gguf.quants.dequantize(data, ggml_type(format)))
    if format in IN_LIBGGUF:
        assert_same_bits(got, libgguf.dequantize_rows(data, ggml_type(format), n_per_row=format.block_size))


def test_q8_k_decodes_by_definition() -> None:
    data = blocks(formats.get("q8_k"), 4)[:4]
    data[:, :4] = np.float32([[0.5], [-2], [0], [1e-40]]).view(np.uint8)
    want = data[:, :4].copy().view(np.float32) * data[:, 4:260].view(np.int8).astype(np.float32)
    assert_same_bits(formats.get("q8_k").dequantize(data), want)


def test_half_precision_agrees_on_all_codes() -> None:
    codes = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    assert_same_bits(formats.get("f16").dequantize(codes), codes.view(np.float16).astype(np.float32))
    bfloat16 = (codes.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    assert_same_bits(formats.get("bf16").dequantize(codes), bfloat16)


@pytest.mark.parametrize("model", ["smollm2", "gemma3"])
def test_tensors_of_real_models_decode_as_in_gguf(model: str, request: pytest.FixtureRequest) -> None:
    file = open_gguf(request.getfixturevalue(model))  # the gguf package's reader takes ten seconds for Gemma's
    chosen = {info.format: name for name, info in file.tensors.items()}
    assert len(chosen) > 1
    for format, name in chosen.items():
        data = file.tensor(name).data
        rows = data[:256] if data.ndim > 1 else data.reshape(1, -1)
        want = gguf.quants.dequantize(rows.view(np.float32) if format.ggml == 0 else rows, ggml_type(format))
        assert_same_bits(format.dequantize(rows), want)


@pytest.fixture(scope="module")
def real_weights(smollm2: Path, gemma3: Path) -> dict[str, np.ndarray]:
    """The first rows of a weight of each model whose columns are whole superblocks."""
    found = {}
    for path in (smollm2, gemma3):
        tensor = open_gguf(path).tensor("blk.3.ffn_down.weight")
        found[path.name] = gguf.quants.dequantize(tensor.data[:24], ggml_type(tensor.format))
    return found


@pytest.mark.parametrize("format", IN_LIBGGUF, ids=names(IN_LIBGGUF))
def test_real_weights_quantized_by_libgguf_decode_the_same(format: Format, real_weights: dict) -> None:
    for x in real_weights.values():
        x = x if format.encodes else x[:2]  # libgguf's search over grids is slow
        packed = np.asarray(libgguf.quantize_rows(x, ggml_type(format), np.ones(x.shape[1], np.float32))).view(np.uint8)
        want = libgguf.dequantize_rows(packed, ggml_type(format), n_per_row=x.shape[1])
        assert_same_bits(format.dequantize(packed.reshape(len(x), -1)), want)


SEARCHED = {
    "q2_k": 1.005,
    "q3_k": 1.025,
    "q4_k": 1.005,
    "q5_k": 1.005,
    "q6_k": 1.005,
    "iq4_nl": 1.005,
    "iq4_xs": 1.005,
    "nvfp4": 1.005,
}  # q3_k: a scan of scales here, a walk over single codes there


@pytest.mark.parametrize("name", SEARCHED)
def test_encoders_err_no_more_than_libgguf(name: str, real_weights: dict) -> None:
    format = formats.get(name)
    for x in real_weights.values():
        theirs = np.asarray(libgguf.quantize_rows(x, ggml_type(format))).reshape(len(x), -1)
        error, reference = (np.square(format.dequantize(q) - x).mean() ** 0.5 for q in (format.quantize(x), theirs))
        assert error <= SEARCHED[name] * reference


SIMPLE = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "mxfp4", "tq1_0", "tq2_0", "q1_0", "f16", "bf16"]


@pytest.mark.parametrize("name", SIMPLE)
def test_encoders_of_simple_formats_give_libggufs_bytes(name: str, real_weights: dict) -> None:
    format = formats.get(name)
    for x in real_weights.values():
        theirs = np.asarray(libgguf.quantize_rows(x, ggml_type(format))).view(np.uint8)
        assert np.array_equal(format.quantize(x).ravel(), theirs.ravel())


def test_errors_meet_the_tolerances_of_llama_cpps_test(vectors: Path) -> None:
    table = json.loads((vectors / "llama_cpp_tolerances.json").read_text())["max_total_error"]
    x = (0.1 + 2 * np.cos(np.arange(4096))).astype(np.float32)
    table["Q2_0"] = table["TQ2_0"]  # in newer versions
    for format in GGML:
        if format.encodes:
            error = np.sqrt(np.square(format.dequantize(format.quantize(x)) - x, dtype=np.float64).sum()) / len(x)
            assert error <= table.get(format.name.upper(), table["default"]), format.name
