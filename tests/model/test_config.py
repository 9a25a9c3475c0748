"""Configuration is read completely from metadata, or refused with the key's name."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_model

from bitwright.engine import load
from bitwright.errors import BitwrightError, FileFormatError, UnsupportedError, UsageError
from bitwright.io import gguf
from bitwright.io.values import Values
from bitwright.model import ARCHITECTURES, Config, keys
from bitwright.model.architectures import layers
from bitwright.model.model import Model
from bitwright.model.steps import MIXTURES


def written(tmp_path: Path, architecture: str = "llama", drop: str = "", **extra: Any) -> gguf.GGUF:
    metadata = synthetic_model.metadata_of(architecture, **extra)
    weights = synthetic_model.weights_of(synthetic_model.metadata_of(architecture))
    metadata.pop(f"{architecture}.{drop}", None)
    return gguf.open(synthetic_model.write(tmp_path / "model.gguf", metadata, weights))


def test_a_configuration_is_read(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path))
    assert (len(config.layers), config.width, config.feed_forward) == (7, 64, 96)
    assert (config.heads, config.kv_heads, config.head_dim, config.kv_width) == (4, 2, 16, 32)
    assert (config.vocabulary, config.context, config.eps) == (160, 96, np.float32(1e-5))
    assert config.attention_scale == 0.25
    assert config.rope.base == 10000 and config.rope.dim == 16 and config.windows == (None,) * 7


def test_gemma3_has_windows_scales_and_two_bases(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "gemma3"))
    assert config.windows == (8, 8, 8, 8, 8, None, 8)
    assert (config.local_rope.base, config.local_rope.factor) == (10000, 1)
    assert (config.rope.base, config.rope.factor) == (1e6, 8)
    assert config.final_softcap == 3 and config.attention_softcap is None


def test_queries_of_ministral3_grow(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "mistral3"))
    assert config.temperature == np.float32(0.3) and config.rope.log_multiplier == 0.5
    assert Config.from_gguf(written(tmp_path)).temperature == 0
    with pytest.raises(FileFormatError, match="attention.temperature_scale to be a number"):
        Config.from_gguf(written(tmp_path, "mistral3", attention__temperature_scale=-0.1))


def test_granite_has_multipliers_and_may_not_rotate(tmp_path: Path) -> None:
    config = Config.from_gguf(written(tmp_path, "granite"))
    assert (config.embedding_scale, config.residual_scale, config.logit_scale) == (6, np.float32(0.22), 2)
    assert config.attention_scale == np.float32(0.3)
    assert Config.from_gguf(written(tmp_path)).logit_scale == 1
    assert config.rotates and not Config.from_gguf(written(tmp_path, "granite", rope__scaling__finetuned=False)).rotates
    assert Config.from_gguf(written(tmp_path, rope__scaling__finetuned=False)).rotates  # which Llama does not know
    with pytest.raises(BitwrightError, match="the key llama.logit_scale"):
        Config.from_gguf(written(tmp_path, logit_scale=2.0))


def test_olmo3_has_windows_whose_rotations_are_not_stretched(tmp_path: Path) -> None:
    usual = float(np.float32(0.1 * math.log(4) + 1))
    config = Config.from_gguf(written(tmp_path, "olmo2", rope__scaling__yarn_attn_factor=usual))
    assert config.windows == (8, 8, 8, None, 8, 8, 8)
    assert (config.local_rope.base, config.local_rope.scaling, config.rope.scaling) == (1e6, "none", "yarn")
    assert config == Config.from_gguf(written(tmp_path, "olmo2"))
    assert Config.from_gguf(written(tmp_path, "olmo2", rope__freq_base_swa=1e4)).local_rope.base == 1e4
    with pytest.raises(BitwrightError, match="the key olmo2.rope.scaling.yarn_attn_factor"):
        Config.from_gguf(written(tmp_path, "olmo2", rope__scaling__yarn_attn_factor=1.5))


def embed_scale(file: gguf.GGUF) -> float:
    step = Model.from_gguf(file).step
    return next(op.scale for op in step.ops if op.kind == "embed")


def test_gemma3_alone_scales_its_embedding(tmp_path: Path) -> None:
    assert embed_scale(written(tmp_path)) == 1
    assert embed_scale(written(tmp_path, "gemma3")) == 8


def test_gemma3_patterns(tmp_path: Path) -> None:
    def windows(pattern: object) -> tuple[int | None, ...]:
        return Config.from_gguf(written(tmp_path, "gemma3", attention__sliding_window_pattern=pattern)).windows

    assert windows(2) == (8, None, 8, None, 8, None, 8)
    assert windows(0) == (8,) * 7
    assert windows([True, True, False, True, True, True, False]) == (8, 8, None, 8, 8, 8, None)
    with pytest.raises(FileFormatError, match="sliding_window_pattern"):
        windows([True, False])
    assert Config.from_gguf(written(tmp_path, "gemma3", attention__sliding_window=0)).windows == (None,) * 7


@pytest.mark.parametrize(
    "key",
    ["block_count", "embedding_length", "feed_forward_length", "attention.head_count", "context_length",
     "attention.layer_norm_rms_epsilon"],
)  # fmt: skip
def test_missing_keys_are_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(FileFormatError, match=f"llama.{key}.*no such key"):
        Config.from_gguf(written(tmp_path, drop=key))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention.head_count", 0),
        ("attention.head_count", "four"),
        ("attention.head_count", True),
        ("attention.head_count", 4.0),
        ("attention.head_count", [4, 4, 4, 4, 2, 4, 4]),
        ("attention.head_count", -4),
        ("attention.head_count_kv", 3),
        ("attention.head_count_kv", 0),
        ("attention.key_length", 0),
        ("attention.value_length", 32),
        ("block_count", 0),
        ("block_count", 2**31),
        ("embedding_length", 2**31),
        ("attention.layer_norm_rms_epsilon", 0.0),
        ("attention.layer_norm_rms_epsilon", math.nan),
        ("rope.freq_base", math.inf),
        ("rope.freq_base", 1.0),
        ("rope.dimension_count", 17),
        ("rope.dimension_count", 15),
        ("rope.scaling.factor", -2.0),
        ("rope.scaling.type", 7),
    ],
)
def test_wrong_values_are_refused_by_key(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(FileFormatError) as caught:
        Config.from_gguf(written(tmp_path, **{key: value}))
    text = "key-value heads" if (key, value) == ("attention.head_count_kv", 3) else key
    assert text in str(caught.value) and "model.gguf" in str(caught.value)


def test_a_per_layer_array_of_one_value_counts_as_one(tmp_path: Path) -> None:
    assert Config.from_gguf(written(tmp_path, **{"attention.head_count": [4] * 7})).heads == 4


def test_unsupported_things_are_named_with_what_is_supported(tmp_path: Path) -> None:
    file = gguf.open(synthetic_model.write(tmp_path / "m.gguf", {"general.architecture": "mamba"}, {}))
    with pytest.raises(UnsupportedError) as caught:
        Config.from_gguf(file)
    assert "mamba" in str(caught.value) and all(name in str(caught.value) for name in ARCHITECTURES)
    with pytest.raises(UnsupportedError, match="longrope.*linear, yarn"):
        Config.from_gguf(written(tmp_path, rope__scaling__type="longrope"))
    with pytest.raises(UnsupportedError, match="experts"):
        Config.from_gguf(written(tmp_path, expert_count=8, expert_used_count=2))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_keys_that_change_the_numbers_are_honoured_or_refused(tmp_path: Path, architecture: str) -> None:
    def refused(key: str, value: object) -> str:
        with pytest.raises(BitwrightError) as caught:
            Config.from_gguf(written(tmp_path, architecture, **{key: value}))
        return str(caught.value)

    assert f"the key {architecture}.attention.causal (bool False): bitwright's models never look ahead" in refused(
        "attention.causal", False
    )
    assert "(float32 4.0)" in refused("attention.clamp_kqv", 4.0)
    assert "(float32 0.5)" in refused("attention.output_scale", 0.5)
    assert "(string 'relu')" in refused("hidden_activation", "relu")
    assert "could change the numbers" in refused("rope.local.freq_base", 1e4)
    assert f"--remove-metadata {architecture}.new" in refused("new", ["a"])
    if architecture not in ("gemma3", "gemma4"):
        assert "does not compute what it asks for" in refused("final_logit_softcapping", 30.0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_keys_without_effect_are_accepted(tmp_path: Path, architecture: str) -> None:
    plain = Config.from_gguf(written(tmp_path, architecture))
    neutral = keys.NEUTRAL | keys.NEUTRAL_OF_FAMILY.get(architecture, {})
    harmless = dict.fromkeys(keys.HARMLESS, 3) | {key: value for key, (value, *_) in neutral.items()}
    if architecture not in MIXTURES:
        harmless["expert_count"] = 0
    harmless = {key: value for key, value in harmless.items() if key not in keys.OF_FAMILY.get(architecture, ())}
    if architecture not in {*layers.PATTERNS, *layers.ALL_WINDOWED}:
        harmless |= {"attention.sliding_window": 4, "rope.freq_base_swa": 1e5}
    found = Config.from_gguf(written(tmp_path, architecture, **harmless))
    assert replace(found, local_rope=plain.local_rope, expert_scale=plain.expert_scale) == plain


def test_every_key_that_is_read_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of honoured keys names what the readers ask for, so that it cannot go stale."""
    asked: set[str] = set()
    has = Values.has
    monkeypatch.setattr(Values, "has", lambda self, key: asked.add(key) or has(self, key))
    for architecture in ARCHITECTURES:
        Config.from_gguf(written(tmp_path, architecture, rope__scaling__type="yarn"))
    asked -= {key for key in asked if key.startswith(("ssm.", "kda.", "general.", "split."))}  # not of these layers
    assert asked <= (keys.HONOURED | keys.WINDOWS).union(*keys.OF_FAMILY.values())


def test_weights_are_checked_before_anything_runs(tmp_path: Path) -> None:
    metadata = synthetic_model.metadata_of("llama")
    weights = synthetic_model.weights_of(metadata)

    def opened(**changes: np.ndarray | None) -> Model:
        changed = {name: value for name, value in (weights | changes).items() if value is not None}
        return Model.from_gguf(gguf.open(synthetic_model.write(tmp_path / "m.gguf", metadata, changed)))

    assert opened().step.result is not None
    wrong = np.zeros((32, 32), np.float32)
    with pytest.raises(FileFormatError, match=r"blk.3.attn_k.weight.*shape \(32, 64\), got \(32, 32\)"):
        opened(**{"blk.3.attn_k.weight": wrong})
    with pytest.raises(FileFormatError, match=r"blk.6.ffn_norm.weight.*no such tensor"):
        opened(**{"blk.6.ffn_norm.weight": None})
    with pytest.raises(FileFormatError, match="token_embd.weight"):
        opened(**{"token_embd.weight": None})
    with pytest.raises(FileFormatError, match="output.weight"):
        opened(**{"output.weight": wrong})
    with pytest.raises(BitwrightError, match="does not use the tensors blk.0.attn_sinks.weight"):
        opened(**{"blk.0.attn_sinks.weight": wrong})
    with pytest.raises(FileFormatError, match="rope_freqs.weight"):
        opened(**{"rope_freqs.weight": np.zeros(8, np.float32)})


def test_the_context_is_bounded_by_the_trained_one(tmp_path: Path) -> None:
    path = written(tmp_path).path
    assert load(path).context == 96 and load(path, context=10).context == 10
    for context in (0, 97):
        with pytest.raises(UsageError, match="1 to 96"):
            load(path, context=context)


def test_every_malformed_file_is_refused_or_survives(data: Path) -> None:
    """No case holds a complete model: even well-formed ones must end in a BitwrightError, never in a crash."""
    cases = json.loads((data / "gguf-cases/expect.json").read_text())
    for case in cases:
        with pytest.raises(BitwrightError):
            load(data / "gguf-cases" / case["file"])


@pytest.mark.parametrize("name", ["gpt-2", "bert-bge", "falcon"])
def test_vocabulary_files_are_not_models(data: Path, name: str) -> None:
    with pytest.raises(BitwrightError):
        load(data / f"tokenizers/ggml-vocab-{name}.gguf")


def test_a_vocabulary_of_another_size_than_the_embedding_is_refused(tmp_path: Path) -> None:
    metadata = synthetic_model.metadata_of("llama") | {"tokenizer.ggml.tokens": ["a", "b"]}
    path = synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata))
    with pytest.raises(FileFormatError, match="rows of token_embd.weight to be 2, got 160"):
        load(path)
