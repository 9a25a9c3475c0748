"""Quantized weights of checkpoints: equal to what their own programs take them for; what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tiny_checkpoints
from checkpoints import DTYPES, write_set
from make_quantized_goldens import BLOCK, FP4, FP8, GOLDEN, LAYOUTS

from bitwright.errors import BitwrightError
from bitwright.io.values import Values
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.model.conversion.stored import Weights
from bitwright.quantizers import quantize

LLAMA = "llama-untied-llama3"
METHOD = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK]}
INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 8}
Tensors = dict[str, np.ndarray]


def golden(case: str) -> tuple[Tensors, str, np.ndarray]:
    """The stored tensors of a case, the type of its floats, and these."""
    held = {tuple(key.split("/")): values for key, values in np.load(GOLDEN).items()}
    found = {name: (type, values.view("V1") if type == "U8" else values)
             for (of, type, name), values in held.items() if of == case}  # fmt: skip
    assert all(DTYPES[values.dtype.name] == type for type, values in found.values())
    type, floats = found.pop("floats")
    return {name: values for name, (_, values) in found.items()}, type, floats


def compressed_tensors(weights: dict[str, Any], kind: str = "pack-quantized", **more: Any) -> dict[str, Any]:
    groups = {"group_0": {"targets": ["Linear"], "weights": {"type": "int", "symmetric": True, **weights}}}
    return {"quant_method": "compressed-tensors", "format": kind, "config_groups": groups, **more}


def opened(folder: Path, tensors: Tensors, config: dict[str, Any]) -> Weights:
    write_set(folder, {f"model.a.{name}": values for name, values in tensors.items()})
    return Weights(folder, Values({"quantization_config": config}, "config.json"))


@pytest.mark.parametrize("case", [*LAYOUTS, *FP4, FP8])
@pytest.mark.parametrize("at_once", [1, 120, 1 << 20])
def test_floats_are_those_of_their_own_programs(
    tmp_path: Path, case: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitwright.model.conversion.quantized.AT_ONCE", at_once)
    tensors, type, floats = golden(case)
    settings = {**LAYOUTS, **FP4}.get(case)
    config = compressed_tensors(*settings[:2], sparsity_config={"format": "dense"}) if settings else METHOD
    unused = {name: np.ones(1, np.float32) for name in ("input_scale", "k_scale")}
    weights = opened(tmp_path, {**tensors, **unused, "bias": np.ones(27, np.float32)}, config)
    assert weights.names == {"model.a.weight", "model.a.bias"}
    assert weights.shape("model.a.weight") == floats.shape and weights.place("model.a.weight") is None
    assert weights.format("model.a.weight").name == {"BF16": "bfloat16", "F16": "float16"}[type]
    np.testing.assert_array_equal(weights.read("model.a.weight"), floats)


def test_a_checkpoint_in_fp8_becomes_that_of_its_floats(tmp_path: Path) -> None:
    """Every matrix of the layers in FP8, with blocks that do not divide it: the same file as from bfloat16."""
    fp8, floats = (tmp_path / name / "model" for name in ("fp8", "floats"))
    for folder in (fp8, floats):
        folder.parent.mkdir()
        tiny_checkpoints.write(LLAMA, folder)
    config = json.loads((fp8 / "config.json").read_text())
    stored, plain, rng = {}, {}, np.random.default_rng(5)
    for name, values in tiny_checkpoints.weights(config, "F32").items():
        if values.ndim == 1 or "layers" not in name:
            stored[name] = plain[name] = tiny_checkpoints.as_dtype(values, "BF16")
            continue
        scale = rng.uniform(0.002, 0.02, [-(-n // BLOCK) for n in values.shape]).astype(np.float32)
        rows, columns = (np.arange(n) // BLOCK for n in values.shape)
        spread = scale[rows][:, columns]
        codes = (values / spread).clip(-448, 448).astype(ml_dtypes.float8_e4m3fn)
        stored[name], stored[f"{name}_scale_inv"] = codes.view(np.uint8), scale
        plain[name] = (codes.astype(np.float32) * spread).astype(ml_dtypes.bfloat16).view(np.uint16)
    write_set(fp8, stored)
    write_set(floats, plain)
    (fp8 / "config.json").write_text(json.dumps(config | {"quantization_config": METHOD}))
    ours, theirs = Checkpoint(fp8), Checkpoint(floats)
    assert {name: (t.shape, t.format) for name, t in ours.tensors.items()} == {
        name: (t.shape, t.format) for name, t in theirs.tensors.items()
    }
    for name in theirs.tensors:
        np.testing.assert_array_equal(ours.tensor(name).data, theirs.tensor(name).data, name)
    warned = [quantize(folder, "q8_0", folder.parent / "m.gguf").warnings for folder in (fp8, floats)]
    assert warned == [["the source is already quantized (fp8): errors add up, so prefer a float source"], []]
    assert quantize(fp8, "f16", tmp_path / "f16.gguf").warnings == []
    assert (fp8.parent / "m.gguf").read_bytes() == (floats.parent / "m.gguf").read_bytes()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "converting weights quantized by unknown is not supported; supported: fp8, compressed-tensors"),
        ({"quant_method": "gptq"}, "converting weights quantized by gptq is not supported"),
        (METHOD | {"weight_block_size": [16]}, "weight_block_size to be an array of 2 whole numbers, got array of 1"),
        (METHOD | {"weight_block_size": [16, 0]}, "weight_block_size to be two numbers of at least 1"),
        (compressed_tensors(INT4, "marlin-24"), "format marlin-24 is not supported"),
        (compressed_tensors(INT4, "nvfp4-pack-quantized"), "weights of 4 bits, int, groups of 8 is not supported"),
        (compressed_tensors(INT4 | {"num_bits": 3}), r"num_bits of 3, int is not supported; supported: int 8, float 8"),
        (compressed_tensors(INT4, "int-quantized"), r"num_bits of 4, int is not supported"),
        (compressed_tensors(INT4 | {"type": "float"}), r"num_bits of 4, float is not supported"),
        (compressed_tensors(INT4 | {"strategy": "token"}), "strategy of token is not supported"),
        (compressed_tensors(INT4 | {"group_size": 0}), "group_size to be a whole number from 1"),
        (compressed_tensors(INT4, transform_config={"R1": {}}), "transform_config of rotated weights is not supported"),
        (compressed_tensors(INT4, sparsity_config={"format": "sparse-24-bitmask"}), "weights in format sparse-24-bitm"),
        (compressed_tensors(INT4) | {"config_groups": {}}, "config_groups with 0 settings of weights is not supported"),
        (compressed_tensors(INT4) | {"config_groups": {f"{n}": {"weights": INT4 | {"num_bits": n}} for n in (4, 8)}},
         "config_groups with 2 settings of weights is not supported; supported: one for all"),
        (compressed_tensors(INT4) | {"config_groups": {"a": 4}}, r"config_groups.a to be an object, got integer 4"),
    ],
    ids=range(16),
)  # fmt: skip
def test_other_ways_to_quantize_are_refused_by_name(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(BitwrightError, match=message) as refused:
        opened(tmp_path, golden("int4 groups")[0], config)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("case", "name", "wrong", "message"),
    [
        ("int4 groups", "weight_packed", None, "a.weight_packed of type I32 and shape .27, 5., got none"),
        ("int4 groups", "weight_packed", np.zeros((27, 4), np.int32), r"got I32 of shape \(27, 4\)"),
        ("int4 groups", "weight_shape", np.array([27, 41]), r"weight_packed of type I32 and shape \(27, 6\)"),
        ("int4 groups", "weight_shape", np.array([27, -40]), "weight_shape to be two sizes"),
        ("int4 groups", "weight_scale", np.zeros((27, 4), np.float32), r"weight_scale of type F32 or F16 or BF16"),
        ("int4 groups, zeros", "weight_zero_point", np.zeros((27, 5), np.int8), "of type I32 and shape .4, 5., got I8"),
        ("int8 rows", "weight", np.zeros((27, 40), np.uint8), "weight of type I8, got F8_E4M3 of shape"),
        ("int8 rows", "weight", np.zeros((27, 4, 10), np.int8), r"a matrix model.a.weight, got shape \(27, 4, 10\)"),
    ],
    ids=range(8),
)  # fmt: skip
def test_wrong_parts_are_refused(tmp_path: Path, case: str, name: str, wrong: Any, message: str) -> None:
    tensors = golden(case)[0] | {name: wrong}
    with pytest.raises(BitwrightError, match=message):
        opened(
            tmp_path, {key: v for key, v in tensors.items() if v is not None}, compressed_tensors(*LAYOUTS[case][:2])
        )


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    tensors, _, _ = golden(FP8)
    tensors["weight"][3, 5] = 0x7F  # the NaN of FP8
    with pytest.raises(
        BitwrightError, match=r"model\.safetensors: model\.a\.weight, in rows from 0: .*nan at \(3, 5\) is not"
    ):
        opened(tmp_path, tensors, METHOD).read("model.a.weight")
