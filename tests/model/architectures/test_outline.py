"""Sources of outlines: files, folders, built-in shapes."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright import formats
from bitwright.errors import BitwrightError, FileFormatError, UsageError
from bitwright.hardware.memory import memory
from bitwright.hardware.weights import assign, file_bytes, weight_bytes
from bitwright.model.architectures import published
from bitwright.model.architectures.families import blueprint
from bitwright.model.architectures.outline import from_blueprint, from_published, outline

FAMILY = "qwen3"


def safetensors(dtype: str = "BF16", more: int = 0) -> bytes:
    """A header with the parameters of the tiny model and `more` outside it, without data."""
    made = blueprint(tiny.config(FAMILY), "", formats.get("bf16"))
    entries = {t.name: {"dtype": dtype, "shape": list(t.shape), "data_offsets": [0, 0]} for t in made.tensors}
    entries |= {"vision.weight": {"dtype": dtype, "shape": [more], "data_offsets": [0, 0]}} if more else {}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    return struct.pack("<Q", len(header)) + header


def folder(path: Path, **files: bytes) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(tiny.config(FAMILY)))
    for name, content in files.items():
        (path / f"{name}.safetensors").write_bytes(content)
    return path


def test_a_folder_of_safetensors(tmp_path: Path) -> None:
    found = outline(folder(tmp_path / "Qwen", model=safetensors()))
    assert (found.name, found.architecture, len(found.layers)) == ("Qwen", "qwen3", 4)
    assert {t.format.name for t in found.tensors} == {"bfloat16", "float32"}
    assert f"hold {found.parameters:,} parameters" in found.standing
    assert outline(tmp_path / "Qwen" / "config.json").tensors == found.tensors


@pytest.mark.parametrize(("dtype", "format"), [("F16", "float16"), ("F32", "float32"), ("F8_E4M3", "bfloat16")])
def test_the_precision_of_most_weights(tmp_path: Path, dtype: str, format: str) -> None:
    found = outline(folder(tmp_path / "m", model=safetensors(dtype)))
    assert found.tensors[0].format.name == format
    assert ("stored as F8_E4M3" in found.standing) == (dtype == "F8_E4M3")


def test_a_vision_tower_is_reported(tmp_path: Path) -> None:
    assert "5,000,000 of them outside" in outline(folder(tmp_path / "m", model=safetensors(more=5_000_000))).standing


def test_config_alone(tmp_path: Path) -> None:
    assert outline(folder(tmp_path / "m")).standing == "from config.json alone"


def test_a_language_model_inside(tmp_path: Path) -> None:
    inner = tiny.config(FAMILY)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3_vl", "text_config": inner}))
    assert outline(tmp_path / "config.json").architecture == "qwen3"


def adapter(path: Path, base: object) -> Path:
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    return path


def test_an_adapter_is_as_large_as_what_it_is_merged_into(tmp_path: Path) -> None:
    base = outline(folder(tmp_path / "Qwen", model=safetensors()))
    found = outline(adapter(tmp_path / "mine", tmp_path / "Qwen"))
    assert (found.name, found.tensors, found.layers) == ("mine", base.tensors, base.layers)
    assert found.standing == f"of {tmp_path / 'Qwen'}, into which the adapter is merged: {base.standing}"


def test_adapters_of_what_is_not_there(tmp_path: Path) -> None:
    first = adapter(tmp_path / "first", tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"adapter_config.json is for .*; if that is elsewhere, plan for it by"):
        outline(first)
    with pytest.raises(UsageError, match="which is no checkpoint that an adapter can be merged into"):
        outline(adapter(tmp_path / "second", first))


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"model_type": 3}'])
def test_malformed_configs_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FileFormatError, match="config.json: expected"):
        outline(tmp_path)


KEYS = ["block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length", "embedding_length",
        "attention.sliding_window", "attention.sliding_window_pattern", "expert_count", "expert_used_count",
        "nextn_predict_layers", "ssm.conv_kernel", "feed_forward_length"]  # fmt: skip
VALUES = st.one_of(
    st.booleans(), st.integers(0, 9), st.integers(-(1 << 31), (1 << 64) - 1), st.floats(allow_nan=True), st.text(),
    st.lists(st.integers(0, 1 << 20), max_size=6).map(lambda n: np.array(n, np.uint32)),
    st.lists(st.text(max_size=3), min_size=1, max_size=3), st.just(np.zeros(4)),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["qwen3", "gemma3_text", "qwen3_next", "kimi_linear"]),
    st.dictionaries(st.sampled_from(KEYS), VALUES),
)
def test_impossible_metadata_is_refused_in_one_line(family: str, changes: dict[str, object]) -> None:
    made = blueprint(tiny.config(family), "", formats.get("f16"))
    made.metadata |= {f"{made.architecture}.{key}": value for key, value in changes.items()}
    try:
        found = from_blueprint(made, "", "", "")
        needed = memory(found, "q4_0", 1000)
    except FileFormatError as error:
        assert "\n" not in str(error)
    else:
        assert needed.kv >= 0 and needed.weights > 0 and 0 <= found.active_parameters <= found.parameters


@pytest.mark.parametrize("name", ["x", "blk.x.attn_k.weight", "blk.9.attn_k.weight", "blk.", ".", "blk.0.weight"])
def test_names_that_are_not_models(name: str) -> None:
    made = blueprint(tiny.config(FAMILY), "", formats.get("f16"))
    made.tensors.append(made.tensors[0]._replace(name=name))
    found = from_blueprint(made, "", "", "")
    assert memory(found, None, 100).total > 0 and memory(found, None, 100, engine="bitwright").total > 0


def test_built_in_shapes_state_their_source() -> None:
    assert outline("qwen3-8b").standing == "read in a source"
    assert outline("llama-2-13b").standing == "general knowledge"
    assert outline("gpt-oss-20b").standing.startswith("read in a source, except for tie_word_embeddings")
    assert all(shape.source for shape in published.models().values())


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="no file or model is named"):
        outline("qwen3-9b")
    with pytest.raises(BitwrightError, match="unknown shape 'qwen3-9b'; did you mean .*qwen3-8b"):
        published.get("qwen3-9b")


def test_a_shape_and_its_file_agree(smollm2: Path) -> None:
    """Except for the header, whose names and tokenizer the shape does not know."""
    shape, file = outline("smollm2-135m"), outline(smollm2)
    if shape.source == file.source:  # the alias's file is cached
        shape = from_published("smollm2-135m")
    assert shape.parameters == file.parameters and shape.layers == file.layers
    for recipe in ("q4_0", "q4_k_m", "q8_0"):
        assert weight_bytes(assign(shape, recipe)) == weight_bytes(assign(file, recipe))
        ours, theirs = (file_bytes(o, assign(o, recipe), recipe) for o in (shape, file))
        assert ours == pytest.approx(theirs, rel=0.0005)
