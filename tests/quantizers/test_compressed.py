"""Checkpoints for vLLM: the weights are those of the GGUF file, every other tensor and file is the source's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_adapters
import tiny_checkpoints

from bitwright import formats
from bitwright.errors import BitwrightError
from bitwright.io import gguf, safetensors
from bitwright.model import files
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.quantizers import quantize
from bitwright.quantizers.compressed import quantize_for_vllm

# Every family whose rows are multiples of a group, with its changes of rows.
SHAPE: dict[str, Any] = {"hidden_size": 96, "intermediate_size": 128, "head_dim": 32, "num_attention_heads": 6,
                         "num_key_value_heads": 2, "moe_intermediate_size": 64}  # fmt: skip
WIDER = {"nvfp4": {"hidden_size": 128}}  # rows of a multiple of 64
CASES = ("llama-untied-llama3", "qwen2-tied-yarn", "qwen3-untied", "qwen3-moe-untied")


def source(case: str, folder: Path, **changes: Any) -> Path:
    tiny_checkpoints.write(case, folder)
    config = json.loads((folder / "config.json").read_text()) | SHAPE | changes
    (folder / "config.json").write_text(json.dumps(config))
    for old in folder.glob("model*"):
        old.unlink()
    from checkpoints import write_set

    return write_set(folder, tiny_checkpoints.weights(config, tiny_checkpoints.DTYPES.get(case, "BF16")))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["q4_0", "q8_0", "mxfp4", "nvfp4"])
def test_weights_are_those_of_the_file(tmp_path: Path, case: str, name: str) -> None:
    """What vLLM's own library decodes: our reader of the layout equals it (test_quantized_weights)."""
    base, out = source(case, tmp_path / "base", **WIDER.get(name, {})), tmp_path / "out"
    result = quantize_for_vllm(base, name, out)
    quantize(base, "bf16", tmp_path / "m.gguf", [rf"blk\..*(q|k|v|output|gate|up|down|exps)\.weight={name}"])
    made, file, plain = Checkpoint(out), gguf.open(tmp_path / "m.gguf"), Checkpoint(base)
    layers = [n for n, t in file.tensors.items() if t.format is formats.get(name)]
    assert len(layers) == 7 * json.loads((base / "config.json").read_text())["num_hidden_layers"]
    assert not any(tensor.endswith("ffn_gate_inp.weight") for tensor in layers)
    floats = formats.get("float16" if name.startswith("q") else "bfloat16")
    for tensor in layers:
        expected = floats.dequantize(floats.quantize(file.tensor(tensor).dequantize()))
        assert made.tensors[tensor].format is floats
        np.testing.assert_array_equal(made.tensor(tensor).dequantize(), expected, tensor)
    for tensor in set(plain.tensors) - set(layers):
        assert made.tensors[tensor].format is plain.tensors[tensor].format
        np.testing.assert_array_equal(made.tensor(tensor).data, plain.tensor(tensor).data, tensor)
    assert {path.name for path in out.iterdir()} == {
        path.name for path in base.iterdir() if path.name not in ("README.md", "model.safetensors.index.json")
    }
    assert result.bytes == sum(path.stat().st_size for path in out.iterdir())
    assert made.stored_as == "compressed-tensors"
    written = safetensors.open_set(out).tensors
    stored = sum(8 * t.nbytes for n, t in written.items() if n.endswith(("_packed", "_scale")) and "global" not in n)
    assert stored == sum(formats.get(name).stored_bytes(file.tensors[t].shape) * 8 for t in layers)


@pytest.mark.parametrize(
    ("case", "stem", "changes"),
    [
        ("qwen3.5-moe-untied", "model.layers.0.mlp", {"shared_expert_intermediate_size": 64}),
        ("gemma4-mixture", "model.layers.0", {"global_head_dim": 32}),
    ],
)
def test_experts_in_one_tensor_become_matrices_of_their_own(
    tmp_path: Path, case: str, stem: str, changes: dict[str, Any]
) -> None:
    """By the names of llm-compressor, which vLLM reads; and what llm-compressor leaves in floats stays so."""
    base, out = source(case, tmp_path / "base", **changes), tmp_path / "out"
    quantize_for_vllm(base, "q8_0", out)
    quantize(base, "f16", tmp_path / "m.gguf", [r"blk\..*exps\.weight=q8_0"])
    made, plain, file = Checkpoint(out), Checkpoint(base), gguf.open(tmp_path / "m.gguf")
    layers = [name for name, tensor in file.tensors.items() if tensor.format is formats.get("q8_0")]
    for name in layers:
        expected = file.tensor(name).dequantize().astype(np.float16).astype(np.float32)
        if not any(own.startswith("mtp.") for own in plain.names[name]):
            np.testing.assert_array_equal(made.tensor(name).dequantize(), expected, name)
    assert made.tensors.keys() == plain.tensors.keys() and layers
    written = safetensors.open_set(out).tensors
    parts = {name for name in written if name.startswith(f"{stem}.experts.5.")}
    assert parts == {f"{stem}.experts.5.{part}_proj.weight_{end}" for part in ("gate", "up", "down")
                     for end in ("packed", "scale", "shape")}  # fmt: skip
    floats = {name for name in written if "linear_attn" in name or name.startswith("mtp.")}
    assert floats == {name for name in plain.weights.names if "linear_attn" in name or name.startswith("mtp.")}
    ignored = json.loads((out / "config.json").read_text())["quantization_config"]["ignore"]
    assert {name.removesuffix(".weight") for name in floats if len(written[name].shape) == 2} <= set(ignored)
    assert ("re:mtp.*" in ignored) == any(name.startswith("mtp.") for name in floats)


def test_fp8_has_a_scale_for_each_row(tmp_path: Path) -> None:
    """The codes and scales of bitwright's own format of that kind; tokens are rounded as they come."""
    base, out, format = source(CASES[2], tmp_path / "base"), tmp_path / "out", formats.get("float8_e4m3fn_row")
    quantize_for_vllm(base, "fp8", out, method="rtn")
    made, plain = Checkpoint(out), Checkpoint(base)
    for name in ("blk.0.attn_q.weight", "blk.1.ffn_down.weight"):
        expected = format.dequantize(format.quantize(plain.tensor(name).dequantize()))
        bfloat16 = formats.get("bfloat16")
        np.testing.assert_array_equal(made.tensor(name).dequantize(), bfloat16.dequantize(bfloat16.quantize(expected)))
    config = json.loads((out / "config.json").read_text())
    assert config["torch_dtype"] == json.loads((base / "config.json").read_text())["torch_dtype"]
    (group,) = config["quantization_config"]["config_groups"].values()
    assert group["input_activations"].items() >= {"strategy": "token", "dynamic": True, "num_bits": 8}.items()


def test_config_says_what_is_quantized(tmp_path: Path) -> None:
    base, out = source(CASES[0], tmp_path / "base"), tmp_path / "out"
    quantize_for_vllm(base, "q4_0", out)
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (base, out))
    settings = after.pop("quantization_config")
    assert after == before | {"torch_dtype": "float16"}
    assert settings["ignore"] == ["lm_head", "model.embed_tokens"]
    (group,) = settings["config_groups"].values()
    assert group["targets"] == ["Linear"]
    assert group["weights"].items() >= {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": True}.items()


def test_adapters_and_statistics(tmp_path: Path) -> None:
    base = source(CASES[1], tmp_path / "base")
    adapter = tiny_adapters.write("plain", base, tmp_path / "adapter")
    quantize_for_vllm(base, "q4_0", tmp_path / "out", lora=adapter)
    quantize(adapter, "q4_0", tmp_path / "m.gguf")
    name = "blk.1.ffn_down.weight"
    expected = gguf.open(tmp_path / "m.gguf").tensor(name).dequantize().astype(np.float16)
    np.testing.assert_array_equal(Checkpoint(tmp_path / "out").tensor(name).dequantize(), expected.astype(np.float32))


def test_what_is_refused(tmp_path: Path) -> None:
    base, out = source(CASES[0], tmp_path / "base"), tmp_path / "out"
    quantize(base, "q8_0", tmp_path / "m.gguf")
    gemma = tiny_checkpoints.write("gemma3-windows-linear", tmp_path / "gemma")
    oss = source("gpt-oss-untied-floats", tmp_path / "oss", intermediate_size=64)
    odd = source(CASES[0], tmp_path / "odd", intermediate_size=100)
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("x")
    for model, name, folder, message in (
        (base, "q4_k", out, "in format q4_k is not supported; supported: q4_0, q8_0, mxfp4, nvfp4, fp8"),
        (base, "q4_9", out, "unknown format"),
        (tmp_path / "m.gguf", "q4_0", out, "expected a checkpoint, a folder with config.json"),
        (oss, "fp8", out, "the experts of gpt-oss is not supported; supported: the published checkpoint: vLLM reads"),
        (gemma, "q4_0", out, "float16, as scales are stored, for model_type gemma3_text is not supported"),
        (odd, "q4_0", out, "ffn_down.weight has 100 columns, no multiple of 32"),
        (base, "q4_0", full, "full: expected a new or empty folder"),
        (base, "q4_0", base, "base: expected a new or empty folder"),
    ):
        with pytest.raises(BitwrightError, match=message) as refused:
            quantize_for_vllm(model, name, folder)
        assert "\n" not in str(refused.value)
    assert not out.exists() and [path.name for path in full.iterdir()] == ["x"]


def test_an_interrupted_folder_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, out = source(CASES[0], tmp_path / "base"), tmp_path / "out"

    def stop(done: float, total: float | None, name: str) -> None:
        if name == "blk.1.ffn_up.weight":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_for_vllm(base, "q4_0", out, progress=stop)
    assert list(out.iterdir()) == []
    with pytest.raises(BitwrightError):
        files.open(out)
