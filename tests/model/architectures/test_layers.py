"""Layers: the planner and the engine see the same ones, from keys that hold a number or a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import synthetic_model
import tiny

from bitwright.errors import FileFormatError
from bitwright.io import gguf
from bitwright.io.values import Values
from bitwright.model import ARCHITECTURES, Config, steps
from bitwright.model.architectures.families import FAMILIES
from bitwright.model.architectures.layers import Layer, read_layers
from bitwright.model.architectures.names import layer_number
from bitwright.model.architectures.outline import from_blueprint, from_gguf
from bitwright.model.model import Model
from bitwright.model.steps import CONVOLVING, HYBRIDS


class Named:
    def __init__(self, name: str, rows: int = 8) -> None:
        self.name, self.shape = name, (rows, 8)


def layers(*parts: str, count: int = 3, **keys: Any) -> tuple[Layer, ...]:
    """Layers of an architecture "x": `count` of them, each with a tensor of each part."""
    named = {f"x.{key.replace('__', '.')}": value for key, value in keys.items()}
    values = {"general.architecture": "x", "x.block_count": count, "x.embedding_length": 64, **named}
    tensors = [Named(f"blk.{index}.{part}.weight") for index in range(count) for part in parts]
    return read_layers(Values.of_gguf(values), tensors)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_planner_and_engine_see_one_model(architecture: str, tmp_path: Path) -> None:
    metadata = synthetic_model.metadata_of(architecture)
    path = synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata))
    file = gguf.open(path)
    config, outline = Config.from_gguf(file), from_gguf(file)
    for name in ("architecture", "layers", "width", "feed_forward", "vocabulary", "context", "heads", "experts"):
        assert getattr(config, name) == getattr(outline, name), name


@pytest.mark.parametrize("architecture", sorted(HYBRIDS | CONVOLVING))
def test_the_planner_counts_the_states_that_the_engine_keeps(architecture: str, tmp_path: Path) -> None:
    metadata = synthetic_model.metadata_of(architecture)
    path = synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata))
    model = Model.from_gguf(gguf.open(path))
    kept = [0] * len(model.config.layers)
    for op in model.step.ops:
        if op.keeps_state:
            kept[op.state[1]] += 4 * op.state_floats([model.tensors[name].shape for name in op.weights])
    assert kept == [layer.state_bytes for layer in model.config.layers] and sum(kept)


RUN = [family for family in tiny.CONFIGS if FAMILIES[family][0] in ARCHITECTURES]


@pytest.mark.parametrize("family", sorted(RUN))
def test_the_engine_runs_what_a_config_json_describes(family: str, tmp_path: Path) -> None:
    """The step uses every tensor of the blueprint, in its shape."""
    made = tiny.tiny(family, tmp_path / "tiny.gguf")
    model = Model.from_gguf(gguf.open(tmp_path / "tiny.gguf"))
    assert model.config.layers == from_blueprint(made, family, "", "").layers
    mixing = [op for op in model.step.ops if op.kind in ("attention", "convolution")]
    assert len(mixing) == made.layers


def test_every_step_file_has_an_entry() -> None:
    files = {path.stem for path in Path(steps.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(ARCHITECTURES.values())


def test_heads_of_every_layer() -> None:
    found = layers("attn_k", attention__head_count=[4, 8, 8], attention__head_count_kv=[4, 2, 0])
    assert [(layer.heads, layer.kv_heads, layer.key_dim, layer.kind) for layer in found] == [
        (4, 4, 16, "attention"), (8, 2, 8, "attention"), (8, 0, 0, "none")]  # fmt: skip


def test_windows_can_have_different_widths() -> None:
    keys = {"attention__head_count": 4, "attention__sliding_window": 32, "attention__key_length": 24}
    pattern = {"attention__sliding_window_pattern": [True, False, True], "attention__key_length_swa": 12}
    assert [(layer.window, layer.key_dim) for layer in layers("attn_k", **keys, **pattern)] == [
        (32, 12), (None, 24), (32, 12)]  # fmt: skip
    assert [layer.window for layer in layers("attn_k", **keys)] == [None] * 3  # no pattern in the file, and no default
    assert [layer.window for layer in layers("attn_k", attention__sliding_window_pattern=2, **keys)] == [32, None, 32]


def test_layers_that_keep_other_states() -> None:
    heads = {"attention__head_count": 4, "attention__kv_lora_rank": 6}
    assert layers("attn_kv_a_mqa", **heads) == (Layer("latent", 4, 1, 8, latent_rank=6),) * 3
    assert layers("shortconv.conv") == (Layer("convolution", state_bytes=4 * 8 * 2),) * 3
    recurrent = layers("ssm_conv1d", "ssm_a", ssm__conv_kernel=4, ssm__state_size=16, ssm__inner_size=32)
    assert recurrent == (Layer("recurrent", state_bytes=4 * (3 * 8 + 16 * 32)),) * 3
    last = layers("attn_k", attention__head_count=4, nextn_predict_layers=1)[2]
    assert last.kind == "prediction"


def test_layers_that_share_keys_and_values_name_the_last_one_that_sees_as_far() -> None:
    heads = {"attention__head_count": 4, "attention__head_count_kv": 2, "attention__sliding_window": 8}
    pattern = [True, False, True, False, True]
    found = layers("attn_k", count=5, **heads, attention__sliding_window_pattern=pattern, attention__shared_kv_layers=2)
    assert [layer.source for layer in found] == [None, None, None, 1, 2]
    assert found[4] == Layer("attention", 4, 2, 16, 16, 8, source=2)
    assert layers("attn_k", **heads, attention__shared_kv_layers=3)[0] == Layer("none", 4)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"attention__head_count": [4, 4]}, "attention.head_count"),
        ({"attention__head_count": 0, "attention__head_count_kv": 2}, "attention.head_count"),
        ({"attention__head_count": 4, "attention__key_length": 0}, "attention.key_length"),
        ({"block_count": 0}, "block_count"),
        ({"block_count": 4}, "block_count"),
        ({"attention__sliding_window": 8, "attention__sliding_window_pattern": [True]}, "sliding_window_pattern"),
    ],
)
def test_impossible_values_are_refused_by_key(keys: dict[str, Any], key: str) -> None:
    with pytest.raises(FileFormatError, match=rf"x\..*{key} to be "):
        layers("attn_k", **keys)


def test_layer_numbers() -> None:
    assert [layer_number(name) for name in ("blk.0.attn_k.weight", "blk.12.", "blk.x.", "output.weight")] == [
        0, 12, -1, -1]  # fmt: skip
