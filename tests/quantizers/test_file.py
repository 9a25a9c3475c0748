"""Whole files: what is written, what is kept, what is refused, and how much memory it takes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import gguf as gguf_package
import numpy as np
import pytest
from numpy.typing import NDArray

from bitwright import calibration, formats
from bitwright.calibration import ActivationStatistics, SquareSums
from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.io import gguf
from bitwright.quantizers import quantize
from bitwright.quantizers.quantizer import Quantizer
from bitwright.quantizers.tensor import quantize_tensor

METADATA = {
    "general.architecture": "llama",
    "general.name": "a small one",
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 4,
    "tokenizer.ggml.tokens": ["<s>", "a", "b"],
    "tokenizer.ggml.scores": np.array([0.0, -1.5, -2.5], np.float32),
}


def values(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / 8


def write(path: Path, tensors: dict[str, NDArray[Any]], format: str = "f16", **metadata: Any) -> Path:
    """A model whose matrices are stored in `format` and whose vectors are float32."""
    made = []
    for name, array in tensors.items():
        kind = formats.get(format if array.ndim > 1 else "f32")
        data = kind.quantize(array)
        made.append((name, array.shape, kind, lambda data=data: data))
    gguf.write(path, METADATA | metadata, made)
    return path


def small_model() -> dict[str, NDArray[Any]]:
    tensors = {"token_embd.weight": values(3, 256)}
    for i in range(2):
        tensors[f"blk.{i}.attn_norm.weight"] = values(256, seed=i)
        tensors[f"blk.{i}.attn_v.weight"] = values(512, 256, seed=10 + i)
        tensors[f"blk.{i}.ffn_down.weight"] = values(256, 96, seed=20 + i)
        tensors[f"blk.{i}.ffn_up_exps.weight"] = values(3, 64, 512, seed=30 + i)
    return tensors | {"output.weight": values(3, 256, seed=99)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source.gguf", small_model())


def test_written_file(source: Path, tmp_path: Path) -> None:
    result = quantize(source, "Q4_K_M", tmp_path / "out.gguf", method="rtn")
    assert result.output == tmp_path / "out.gguf" and result.bytes == result.output.stat().st_size
    before, after = gguf.open(source), gguf.open(result.output)
    assert list(after.tensors) == list(before.tensors) == [a.tensor for a in result.assignments]
    changed = {"general.file_type": 15, "general.quantization_version": 2}
    for key in before.metadata:
        assert after.metadata.value_type(key) == before.metadata.value_type(key)
        assert np.array_equal(after.metadata[key], before.metadata[key])
    assert {key: after.metadata[key] for key in after.metadata if key not in before.metadata} == changed
    for a in result.assignments:
        info, tensor = after.tensors[a.tensor], after.tensor(a.tensor)
        assert info.format is a.format and info.shape == before.tensors[a.tensor].shape and info.nbytes == a.bytes
        rows = before.tensor(a.tensor).dequantize().reshape(-1, info.shape[-1])
        if a.format.name == "q5_0":  # an exact format, encoded by NumPy
            assert np.array_equal(tensor.data.reshape(len(rows), -1), a.format.quantize(rows))
        assert abs(tensor.dequantize().reshape(rows.shape) - rows).max() < 0.06, a
    total = sum(a.bytes for a in result.assignments)
    assert result.bits_per_weight == pytest.approx(8 * total / sum(np.prod(t.shape) for t in after.tensors.values()))
    assert not result.warnings


def test_kinds_of_tensors_get_their_formats(source: Path, tmp_path: Path) -> None:
    given = {a.tensor: a for a in quantize(source, "q4_k_m", tmp_path / "out.gguf").assignments}
    assert given["blk.0.attn_norm.weight"].format.name == "float32"
    assert given["blk.0.attn_norm.weight"].reason == "kept as it is"
    assert given["output.weight"].format.name == "q6_k" and given["output.weight"].reason == "output in q4_k_m"
    assert given["blk.0.ffn_up_exps.weight"].format.name == "q4_k" and not given["blk.0.ffn_up_exps.weight"].reason
    assert given["blk.1.attn_v.weight"].reason == "attn_v in q4_k_m"
    fallen = given["blk.0.ffn_down.weight"]
    assert fallen.format.name == "q5_0"
    assert fallen.fallback == "96 columns are not a multiple of 256 (q4_k): q5_0 instead"


def test_the_gguf_package_reads_the_same_weights(source: Path, tmp_path: Path) -> None:
    path = quantize(source, "q4_k_m", tmp_path / "out.gguf").output
    ours = gguf.open(path or "")
    reader = gguf_package.GGUFReader(path)
    assert {t.name for t in reader.tensors} == set(ours.tensors)
    for t in reader.tensors:
        theirs = gguf_package.dequantize(t.data, t.tensor_type)
        assert np.array_equal(theirs, ours.tensor(t.name).dequantize()), t.name
    assert reader.fields["general.file_type"].contents() == 15


@pytest.mark.parametrize("recipe", ["q4_k_m", "q8_0", "iq4_xs", "mxfp4_moe", "bf16", "f32"])
def test_same_file_whatever_the_thread_count(recipe: str, source: Path, tmp_path: Path) -> None:
    for threads in (1, 2, 5):
        quantize(source, recipe, tmp_path / f"{threads}.gguf", threads=threads)
    assert len({(tmp_path / f"{threads}.gguf").read_bytes() for threads in (1, 2, 5)}) == 1


def test_a_dry_run_writes_nothing_and_predicts_the_size(source: Path, tmp_path: Path) -> None:
    dry = quantize(source, "q4_k_m", None, dry_run=True)
    assert dry.output is None and [p.name for p in tmp_path.iterdir()] == ["source.gguf"]
    real = quantize(source, "q4_k_m", tmp_path / "out.gguf")
    assert dry.assignments == real.assignments and dry.bits_per_weight == real.bits_per_weight
    assert abs(dry.bytes - real.bytes) < 32 * len(real.assignments) + 256


def test_progress_counts_up_to_the_last_tensor(source: Path, tmp_path: Path) -> None:
    seen: list[tuple[float, float, str]] = []
    quantize(source, "q8_0", tmp_path / "out.gguf", progress=lambda *report: seen.append(report))
    tensors = gguf.open(source).tensors
    assert [name for _, _, name in seen] == list(tensors)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    work = Quantizer().work(tensors[seen[-1][2]], formats.get("q8_0"))
    assert seen[-1][0] + work == pytest.approx(seen[-1][1])


def test_memory_holds_one_tensor_not_the_model(tmp_path: Path) -> None:
    """Twelve matrices of 2 Mi weights: memory holds two output tensors; the model would be sixteen times that."""
    tensors = {f"blk.{i}.ffn_up.weight": values(2048, 1024, seed=i) for i in range(12)}
    tensors["output.weight"] = values(4, 1024)
    source = write(tmp_path / "big.gguf", tensors, **{"llama.block_count": 12})
    output_bytes = formats.get("q8_0").row_bytes(1024) * 2048
    del tensors
    quantize(source, "q8_0", tmp_path / "warm.gguf")
    tracemalloc.start()
    quantize(source, "q8_0", tmp_path / "out.gguf", threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * output_bytes + (1 << 20), f"{peak} bytes at once"


def test_a_quantized_source_gives_a_warning(source: Path, tmp_path: Path) -> None:
    first = quantize(source, "q8_0", tmp_path / "q8.gguf").output
    assert first is not None
    again = quantize(first, "q4_0", tmp_path / "q4.gguf", method="rtn")
    assert again.warnings and "already quantized (q8_0)" in again.warnings[0]
    before, after = gguf.open(first), gguf.open(tmp_path / "q4.gguf")
    for name in ("blk.1.attn_v.weight", "blk.0.ffn_up_exps.weight"):
        rows = before.tensor(name).dequantize().reshape(-1, before.tensors[name].shape[-1])
        assert np.array_equal(after.tensor(name).data.reshape(len(rows), -1), formats.get("q4_0").quantize(rows))
    same = quantize(first, "q8_0", tmp_path / "same.gguf")
    assert not same.warnings and (tmp_path / "same.gguf").read_bytes() == first.read_bytes()


def test_few_bits_without_importance_give_a_warning(source: Path) -> None:
    assert "without importance data" in quantize(source, "q2_k_s", None, dry_run=True).warnings[0]


def test_overrides_reach_the_file(source: Path, tmp_path: Path) -> None:
    quantize(source, "q4_0", tmp_path / "out.gguf", tensor_types=["attn_v=q6_k", r"^output\.=BF16"])
    after = gguf.open(tmp_path / "out.gguf").tensors
    assert after["blk.1.attn_v.weight"].format.name == "q6_k" and after["output.weight"].format.name == "bfloat16"


def test_refusals_leave_nothing_behind(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    (tmp_path / "link.gguf").symlink_to(source)
    for output in (source, tmp_path / "link.gguf", tmp_path / "nowhere/out.gguf", tmp_path):
        with pytest.raises(UsageError, match="cannot write"):
            quantize(source, "q8_0", output)
    with pytest.raises(UsageError, match="output"):
        quantize(source, "q8_0", None)
    with pytest.raises(UnsupportedError, match="unknown recipe 'q5_9'; did you mean q5_0, q5_1, q5_k\\?"):
        quantize(source, "q5_9", tmp_path / "out.gguf")
    with pytest.raises(UnsupportedError, match=r"tensor blk\.\d\.\S+: encoding to q8_k"):
        quantize(source, "q8_0", tmp_path / "out.gguf", tensor_types=["ffn=q8_k"])
    with pytest.raises(UsageError, match="unknown method 'best'; known: feedback, search, rtn"):
        quantize(source, "q8_0", tmp_path / "out.gguf", method="best")
    for dry_run in (False, True):
        with pytest.raises(UsageError, match=r"tensor blk\.0\.\S+: GGUF has no type for the format float8_e5m2"):
            quantize(source, "q8_0", tmp_path / "out.gguf", tensor_types=["ffn=float8_e5m2"], dry_run=dry_run)
    for text in ("xyz=q4_0", "attn_q", "=q4_0", "attn[=q4_0"):
        with pytest.raises(UsageError, match="--tensor-type"):
            quantize(source, "q8_0", tmp_path / "out.gguf", tensor_types=["ffn=q8_0", text])
    assert source.read_bytes() == before and not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("stored", ["f32", "f16", "bf16"])
def test_a_bad_value_is_named_and_the_old_file_stays(stored: str, tmp_path: Path) -> None:
    tensors = small_model()
    path = write(tmp_path / "source.gguf", tensors, stored)
    info = gguf.open(path).tensors["blk.1.attn_v.weight"]
    size = info.format.block_bytes
    with path.open("r+b") as file:  # a NaN at [300, 17], past what the NumPy encoder refuses to write
        file.seek(info.offset + (300 * 256 + 17) * size)
        file.write({2: b"\xff\xff", 4: b"\xff\xff\xff\xff"}[size])
    (tmp_path / "out.gguf").write_bytes(b"old")
    with pytest.raises(BitwrightError, match=r"tensor blk\.1\.attn_v\.weight: .*nan at \[300, 17\]"):
        quantize(path, "q4_k_m", tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.gguf", "source.gguf"]


def test_importance_is_used_and_recorded(tmp_path: Path) -> None:
    """Importance-weighted errors fall in formats whose encoder uses importance, and the recipe depends on it."""
    source = write(tmp_path / "f16.gguf", small_model())
    random = np.random.default_rng(7)
    gathered = {
        f"blk.{i}.attn_v.weight": SquareSums(random.lognormal(0, 2, (1, 256)) * 100, np.array([100])) for i in range(2)
    }
    calibration.write(tmp_path / "stats.gguf", ActivationStatistics(gathered, ("a.txt", "b.txt"), 3, 512))
    files = {}
    for name, stats in (("without", None), ("with", tmp_path / "stats.gguf")):
        quantize(source, "q4_k_s", tmp_path / f"{name}.gguf", stats=stats)
        files[name] = gguf.open(tmp_path / f"{name}.gguf")
    original = gguf.open(source)
    for tensor, own in gathered.items():
        exact = original.tensor(tensor).dequantize()
        off = {made: file.tensor(tensor).dequantize() - exact for made, file in files.items()}
        error = {made: float((own.importance * difference**2).sum()) for made, difference in off.items()}
        assert error["with"] < 0.9 * error["without"]
    assert files["with"].metadata["quantize.imatrix.file"] == "stats.gguf"
    assert files["with"].metadata["quantize.imatrix.dataset"] == "a.txt, b.txt"
    assert "quantize.imatrix.file" not in files["without"].metadata
    others = [file.tensor("blk.0.ffn_down.weight").data for file in files.values()]
    np.testing.assert_array_equal(*others)  # it has no statistics


def test_each_expert_has_separate_importance(tmp_path: Path) -> None:
    name = "blk.0.ffn_down_exps.weight"
    source = write(tmp_path / "f16.gguf", small_model() | {name: values(2, 24, 256)}, **{"llama.expert_count": 2})
    random = np.random.default_rng(8)
    own = SquareSums(random.lognormal(0, 2, (2, 256)) * 100, np.array([100, 100]))
    quantize(source, "q4_k_s", tmp_path / "out.gguf", stats=ActivationStatistics({name: own}))
    tensor = gguf.open(tmp_path / "out.gguf").tensor(name)
    stored = gguf.open(source).tensor(name).data.view(np.float16)
    for expert in range(2):
        alone = quantize_tensor(stored[expert], tensor.format, own.importance[expert])
        np.testing.assert_array_equal(tensor.data[expert], alone.data)
