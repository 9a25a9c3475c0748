"""config.json from strangers and as published: defaults of a family, and values that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from bitwright import formats
from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.model.architectures.families import blueprint
from bitwright.model.architectures.outline import from_blueprint, outline


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size to be a whole number"),
        ({"hidden_size": "64"}, "hidden_size to be a whole number"),
        ({"num_hidden_layers": -1}, "num_hidden_layers to be a whole number"),
        ({"num_hidden_layers": 1 << 40}, "num_hidden_layers to be a whole number"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings to be true or false"),
        ({"rope_scaling": [1]}, "rope_scaling to be an object"),
        ({"layer_types": ["full_attention"]}, "layer_types to be an array of 4 strings"),
    ],
)
def test_wrong_configs_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        blueprint(tiny.config("gemma3_text", **changes), "config.json", formats.get("bf16"))


@pytest.mark.parametrize(
    ("nested", "published"),
    [
        ({"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}, "gemma-3-4b"),
        ({"hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48, "num_attention_heads": 16,
          "num_key_value_heads": 8}, "gemma-3-12b"),
        ({"hidden_size": 5376, "intermediate_size": 21504, "num_hidden_layers": 62, "num_attention_heads": 32,
          "num_key_value_heads": 16, "head_dim": 128}, "gemma-3-27b"),
    ],
)  # fmt: skip
def test_gemma_3_as_google_publishes_it(nested: dict[str, Any], published: str) -> None:
    """With vision, config.json nests the text model and lists only what differs from the defaults of its class."""
    text = {"model_type": "gemma3_text", "sliding_window": 1024, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
    config = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "vision_config": {},
              "text_config": {**text, **nested}}  # fmt: skip
    found = from_blueprint(blueprint(config, "config.json", formats.get("bf16")), "g", "s", "s")
    listed = outline(published)
    assert found.vocabulary == 262208 and found.context == 131072
    assert found.layers == listed.layers
    assert found.parameters - listed.parameters == (262208 - 262144) * found.width


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "{", "\xff"])
def test_a_config_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError, match=r"config\.json: expected JSON, got "):
        outline(tmp_path)


def test_unknown_families_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="config.json: model_type bert is not supported; supported: llama"):
        blueprint({"model_type": "bert"}, "config.json", formats.get("bf16"))
