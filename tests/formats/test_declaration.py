"""What is derived from declarations: the registry, bit packing, descriptions, documents, tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from formats.vectors import names, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright import formats
from bitwright.errors import UnsupportedError, UsageError
from bitwright.formats import Format, QuantizedTensor, bits, document

DESCRIBED = [*formats.all(), *(formats.get(n) for n in (*document.INTEGERS, *document.FLOATS))]


def test_names_aliases_and_ids() -> None:
    for format in formats.all():
        assert all(formats.get(n) is format for n in (format.name, format.name.upper(), *format.aliases))
        assert format.ggml is None or formats.from_ggml(format.ggml) is format
    assert formats.get("F32").ggml == 0 and formats.get("fp16").ggml == 1 and formats.get("bf16").ggml == 30
    assert len({f.name for f in formats.all()}) == len(formats.all()) == 35


def test_unknown_names_and_ids_list_the_known() -> None:
    with pytest.raises(UnsupportedError, match=r"unknown format 'q4_q'; did you mean q4_0, q4_1, q4_k\?") as raised:
        formats.get("q4_q")
    assert {"q4_k", "bfloat16", formats.FAMILIES[0]} <= {*raised.value.supported}
    with pytest.raises(UnsupportedError, match=r"GGUF tensor type 4 is not supported; supported: .*12 \(q4_k\)"):
        formats.from_ggml(4)


@settings(max_examples=100, deadline=None)
@given(
    width=st.sampled_from([1, 2, 4]),
    run=st.sampled_from([1, 4, 16, 32]),
    runs=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_planes_are_where_the_declaration_says(width: int, run: int, runs: int, seed: int) -> None:
    data = np.random.default_rng(seed).integers(0, 256, (2, run * runs), dtype=np.uint8)
    codes = bits.unpack(data, width, run)
    planes = 8 // width
    for i in range(codes.shape[1]):
        r, rest = divmod(i, planes * run)
        plane, j = divmod(rest, run)
        assert (codes[:, i] == data[:, r * run + j] >> (plane * width) & ((1 << width) - 1)).all()
    assert np.array_equal(bits.pack(codes, width, run), data)


@settings(max_examples=100, deadline=None)
@given(width=st.integers(1, 8), octets=st.integers(1, 5), seed=st.integers(0, 999))
def test_dense_codes_are_one_little_endian_number(width: int, octets: int, seed: int) -> None:
    data = np.random.default_rng(seed).integers(0, 256, (3, width * octets), dtype=np.uint8)
    codes = bits.unpack(data, width)
    for row, packed in zip(codes, data, strict=True):
        assert sum(int(code) << (width * i) for i, code in enumerate(row)) == int.from_bytes(packed.tobytes(), "little")
    assert np.array_equal(bits.pack(codes, width), data)


@pytest.mark.parametrize("format", DESCRIBED, ids=names(DESCRIBED))
def test_descriptions_are_plain_json_and_add_up(format: Format) -> None:
    d = formats.describe(format)
    assert json.loads(json.dumps(d)) == d
    assert d["name"] == format.name and d["summary"] and d["formula"] and len(d["summary"]) < 90
    offset = 0
    for field in d["fields"]:
        assert field["offset"] == offset and field["doc"]
        offset += field["bytes"] or 0
        assert (field["bytes"] is None) == (d["block_size"] is None and field is d["fields"][-1])
        assert bool(field["layout"]) == bool(field["bits"])
    if d["block_size"]:
        assert offset == d["block_bytes"] and d["bits_per_weight"] == 8 * offset / d["block_size"]


def test_the_document_is_fresh() -> None:
    text = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    assert text == document.document(), "docs/formats.md is stale: make docs"


def test_importing_formats_does_not_import_gguf() -> None:
    script = "import sys, bitwright.formats as f; f.get('q4_k'), f.get('iq2_s').fields; sys.exit('gguf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_a_tensor_knows_its_size_and_weights() -> None:
    x, q4_k = weights((6, 512)), formats.get("q4_k")
    tensor = QuantizedTensor("blk.0.ffn_up.weight", (6, 512), q4_k, q4_k.quantize(x).ravel())
    assert tensor.data.shape == (6, 288) and tensor.nbytes == 6 * 288 and tensor.bits_per_weight == 4.5
    assert tensor.dequantize().shape == (6, 512)
    row = formats.get("int8_sym_row")
    assert QuantizedTensor("x", (6, 512), row, row.quantize(x)).bits_per_weight == 8 + 32 / 512


def test_a_tensors_bytes_must_fit_its_shape() -> None:
    q4_k = formats.get("q4_k")
    for shape, data in (
        ((6, 512), np.zeros((6, 287), np.uint8)),
        ((6, 512), np.zeros((6, 288), np.int8)),
        ((6, 512), np.zeros((12, 288), np.uint8)[::2]),
        ((), np.zeros(4, np.uint8)),
    ):
        with pytest.raises(UsageError, match="tensor w: expected"):
            QuantizedTensor("w", shape, q4_k, data)
