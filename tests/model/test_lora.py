"""LoRA adapters: the merged model predicts what PEFT's does; it is named in two ways; what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tiny_adapters
import tiny_checkpoints
from checkpoints import safetensors
from make_adapter_goldens import BASE, POSITIONS
from reference_forward import Reference, log_softmax
from tiny_adapters import ADAPTERS
from tiny_checkpoints import IDS
from typer.testing import CliRunner

from bitwright.cli.app import app
from bitwright.errors import BitwrightError, UsageError
from bitwright.model import files
from bitwright.model.architectures.outline import outline
from bitwright.quantizers import quantize

GOLDEN = Path(__file__).parents[1] / "golden/adapters.npz"
Q, WEIGHTS = "model.layers.1.self_attn.q_proj", "adapter_model.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_checkpoints.write(BASE, tmp_path / "base")


def changed(folder: Path, **settings: Any) -> Path:
    """An adapter with other settings."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def stored(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    """An adapter with other tensors, and its settings."""
    (folder / WEIGHTS).write_bytes(safetensors(tensors))
    return folder


@pytest.mark.parametrize("name", ADAPTERS)
def test_peft_agrees(base: Path, tmp_path: Path, name: str) -> None:
    """The reference, run in float64 on the merged weights, predicts what PEFT does, up to rounding to float32: 6 times
    the largest effect of such rounding, as in test_conversion."""
    file = files.open(tiny_adapters.write(name, base, tmp_path / "adapter"))
    weights = {tensor: file.tensor(tensor).dequantize() for tensor in file.tensors}

    def reference(rounding: np.random.Generator | None) -> np.ndarray:
        return Reference(file.metadata, weights, np.float64, rounding).log_probabilities(IDS)[list(POSITIONS)]

    exact, theirs = reference(None), log_softmax(np.load(GOLDEN)[name].astype(np.float64))
    bound = 6 * np.abs(reference(np.random.default_rng(0)) - exact).max()
    assert np.abs(theirs - exact).max() <= bound
    plain = {tensor: files.open(base).tensor(tensor).dequantize() for tensor in file.tensors}
    unmerged = Reference(file.metadata, plain, np.float64).log_probabilities(IDS)[list(POSITIONS)]
    assert np.abs(theirs - unmerged).max() > 100 * bound


@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_sums_are_rounded_once(tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitwright.model.conversion.lora.AT_ONCE", at_once)
    case, weight = "qwen2-tied-yarn", "layers.1.mlp.down_proj"
    base = tiny_checkpoints.write(case, tmp_path / "qwen")
    adapter = tiny_adapters.write("plain", base, tmp_path / "adapter", "F16")
    config = json.loads((base / "config.json").read_text())
    own = tiny_checkpoints.weights(config, "BF16")[f"model.{weight}.weight"].view(ml_dtypes.bfloat16)
    rng = np.random.default_rng(2)
    right, left = (rng.standard_normal(s).astype(np.float16) for s in ((4, own.shape[1]), (own.shape[0], 4)))
    stem = f"base_model.model.model.{weight}"
    stored(adapter, {f"{stem}.lora_A.weight": right, f"{stem}.lora_B.weight": left})
    merged, plain = files.open(adapter), files.open(base)
    exact = own.astype(np.float64) + 2 * (left.astype(np.float64) @ right)
    found = merged.tensor("blk.1.ffn_down.weight")
    assert found.format.name == "bfloat16"
    assert np.mean(found.dequantize() == exact.astype(ml_dtypes.bfloat16).astype(np.float32)) > 0.999
    same = plain.tensor("blk.1.ffn_up.weight").data
    np.testing.assert_array_equal(merged.tensor("blk.1.ffn_up.weight").data, same)


def test_an_adapter_is_a_model_or_goes_with_one(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapters.write("plain", base, tmp_path / "my-finetune")
    file = files.open(adapter)
    assert file.called == "my-finetune" and file.metadata["general.name"] == "My Finetune"
    assert {base / "config.json", adapter / "adapter_config.json", adapter / WEIGHTS} <= set(file.paths)
    assert file.sha256() != files.open(base).sha256()
    assert outline(adapter).tensors == outline(base).tensors
    quantize(adapter, "q8_0", tmp_path / "a.gguf")
    moved = base.rename(tmp_path / "moved")
    quantize(moved, "q8_0", tmp_path / "b.gguf", lora=adapter)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    for command in (["quantize", "--to", "q8_0"], ["convert"]):
        out = tmp_path / f"{command[0]}.gguf"
        told = CliRunner().invoke(app, [*command, str(moved), "--lora", str(adapter), "-o", str(out)])
        assert told.exit_code == 0, told.output
    assert (tmp_path / "quantize.gguf").read_bytes() == (tmp_path / "a.gguf").read_bytes()
    with pytest.raises(
        UsageError, match=r"adapter_config\.json is for .*base; if that is elsewhere, name it and --lora"
    ):
        files.open(adapter)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type of string 'IA3' is not supported; supported: LORA"),
        ({"use_dora": True}, "use_dora of bool True is not supported"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out of bool True is not supported"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights of string 'pissa_niter_16' is not supported"),
        ({"layer_replication": [[0, 2]]}, "layer_replication of array of 1"),
        ({"target_parameters": ["experts.down_proj"]}, "target_parameters of array of 1"),
        ({"lora_alpha": "8"}, "lora_alpha to be a number"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "alpha_pattern with the pattern .* is not supported"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path to be a string, got null"),
        ({"base_model_name_or_path": "/nowhere"}, "no file or model is named /nowhere"),
    ],
    ids=range(10),
)  # fmt: skip
def test_other_adapters_are_refused_by_name(base: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    adapter = changed(tiny_adapters.write("plain", base, tmp_path / "adapter"), **settings)
    with pytest.raises(BitwrightError, match=message) as refused:
        files.open(adapter)
    assert "\n" not in str(refused.value)


def test_wrong_tensors_are_refused(base: Path, tmp_path: Path) -> None:
    adapter, stem = tiny_adapters.write("plain", base, tmp_path / "adapter"), f"base_model.model.{Q}"
    a, b = np.zeros((4, 96), np.float32), np.zeros((120, 4), np.float32)
    for tensors, message in (
        ({f"{stem}.lora_A.weight": a}, r"q_proj\.lora_B\.weight to have shape \(120, 4\), got None"),
        ({f"{stem}.lora_B.weight": b}, r"q_proj\.lora_A\.weight to have shape \(0, 96\), got None"),
        ({f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b[:7]}, r"shape \(120, 4\), got \(7, 4\)"),
        ({f"{stem}.lora_A.weight": a.T, f"{stem}.lora_B.weight": b}, r"shape \(96, 96\), got \(96, 4\)"),
        ({f"{Q}.lora_A.weight": a}, f"changes of tensors of .*, got {Q}.lora_A.weight"),
        ({f"{stem}x.lora_A.weight": a}, "changes of tensors of"),
        ({f"{stem}.weight": a}, r"q_proj\.weight to have shape \(120, 96\), got \(4, 96\)"),
        ({f"{stem}.lora_magnitude_vector.weight": a}, "changes of tensors of .*lora_magnitude_vector"),
    ):
        with pytest.raises(BitwrightError, match=message):
            files.open(stored(adapter, tensors))
    with pytest.raises(BitwrightError, match=r"model\.layers\.1\.self_attn\.q_proj\.weight, in rows from 0: .*nan"):
        tensors = {f"{stem}.lora_A.weight": a * np.nan, f"{stem}.lora_B.weight": b}
        files.open(stored(adapter, tensors)).tensor("blk.1.attn_q.weight")


def test_other_things_than_adapters_are_refused(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapters.write("plain", base, tmp_path / "adapter")
    quantize(base, "q8_0", tmp_path / "m.gguf")
    for source, lora, message in (
        (base, base, r"expected a LoRA adapter, a folder with adapter_config\.json"),
        (base, tmp_path / "m.gguf", "expected a LoRA adapter"),
        (tmp_path / "m.gguf", adapter, "an adapter can be merged into a checkpoint, a folder with config.json"),
        (adapter, adapter, "an adapter can be merged into a checkpoint"),
    ):
        with pytest.raises(BitwrightError, match=message):
            files.open(source, lora)
    with pytest.raises(BitwrightError, match="a checkpoint with a config.json, got a LoRA adapter"):
        files.open(changed(adapter, base_model_name_or_path=str(adapter)))
