"""Every key of a model's metadata with every kind of wrong value, over tiny models that otherwise run."""

from __future__ import annotations

import itertools
import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import synthetic_model
from vocabularies import byte_level_metadata, spm_metadata

from bitwright import formats
from bitwright.io import gguf
from bitwright.io.gguf_parse import parse
from bitwright.io.gguf_values import Typed
from bitwright.model import ARCHITECTURES

PATH = Path("poisoned.gguf")
LAYERS = 2
TEXTS = {"empty text": "", "text": "four", "control characters": "\x1b[2J\u202e", "digits": "4"}
WHOLE = {"minus one": Typed(-1, "int32"), "zero": Typed(0, "uint32"), "one": Typed(1, "uint32"),
         "three": Typed(3, "int8"), "2^31": Typed(1 << 31, "uint32"), "2^32 - 1": Typed((1 << 32) - 1, "uint32"),
         "2^62": Typed(1 << 62, "uint64"), "2^64 - 1": Typed((1 << 64) - 1, "uint64"),
         "-2^63": Typed(-1 << 63, "int64")}  # fmt: skip
FLOATS = {"1.5": 1.5, "4.0": 4.0, "0.0": 0.0, "-1.0": -1.0, "NaN": math.nan, "infinity": math.inf,
          "least float32": Typed(1e-45, "float32"), "most float32": Typed(3e38, "float32"),
          "least float64": Typed(5e-324, "float64"), "most float64": Typed(1e308, "float64")}  # fmt: skip
ARRAYS = {"no elements": Typed([], "array[int32]"), "no texts": Typed([], "array[string]"), "a text": ["a"],
          "texts": ["a"] * LAYERS, "numbers": Typed([1, -2, 3], "array[int32]"),
          "one per layer": Typed([7] * LAYERS, "array[uint32]"),
          "large": Typed([(1 << 64) - 1] * LAYERS, "array[uint64]"),
          "NaNs": Typed([math.nan] * LAYERS, "array[float32]"),
          "floats": Typed([0.5] * LAYERS, "array[float64]"), "marks": [True, False]}  # fmt: skip
POISONS: dict[str, Any] = {**TEXTS, **WHOLE, **FLOATS, **ARRAYS, "true": True, "false": False}

# Keys that a tiny model does without.
MORE = ("vocab_size", "expert_count", "expert_used_count", "expert_feed_forward_length", "nextn_predict_layers",
        "attention.key_length", "attention.value_length", "attention.sliding_window", "attention.shared_kv_layers",
        "attention.sliding_window_pattern", "attention.scale", "attention.causal", "attn_logit_softcapping",
        "final_logit_softcapping", "rope.dimension_count", "rope.freq_base", "rope.freq_base_swa", "rope.scale_linear",
        "rope.scaling.type", "rope.scaling.factor", "rope.scaling.attn_factor", "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow", "rope.scaling.original_context_length", "attention.layer_norm_epsilon",
        "rope.scaling.finetuned", "rope.scaling.yarn_log_multiplier", "rope.scaling.yarn_attn_factor",
        "attention.temperature_scale", "embedding_scale", "residual_scale", "attention.clamp_kqv", "logit_scale",
        "ssm.conv_kernel", "kda.head_dim")  # fmt: skip
SHARED = ("general.name", "general.architecture", "general.alignment", "general.file_type", "tokenizer.chat_template",
          "tokenizer.chat_template.tool_use", "tokenizer.huggingface.json", "split.no", "split.count",
          "split.tensors.count", "bitwright.damage.kl_divergence.mean")  # fmt: skip
TOKENIZER = ("model", "pre", "tokens", "merges", "scores", "token_type", "bos_token_id", "eos_token_id",
             "unknown_token_id", "padding_token_id", "eot_token_id", "eom_token_id", "fim_pad_token_id",
             "add_bos_token", "add_eos_token", "add_space_prefix")  # fmt: skip


OWN: dict[str, dict[str, Any]] = {  # of two layers
    "deepseek2": {
        "leading_dense_block_count": 1,
        "nextn_predict_layers": 0,
        "rope__scaling__yarn_log_multiplier": 0.07,
    },
    "gemma4": {
        "attention__head_count_kv": [2, 1],
        "attention__sliding_window_pattern": [True, False],
        "attention__shared_kv_layers": 0,
        "feed_forward_length": [96, 192],
    },
    "granitehybrid": {"attention__head_count_kv": [0, 2]},
    "lfm2": {"attention__head_count_kv": [0, 2]},
    "lfm2moe": {"attention__head_count_kv": [0, 2], "leading_dense_block_count": 1},
}


def healthy(architecture: str) -> dict[str, Any]:
    """The metadata of a model that runs, with YaRN and a vocabulary: SentencePiece for gemma3, else byte-level."""
    if architecture == "gemma3":
        vocabulary = spm_metadata([("a", -1.0, 1), ("b", -2.0, 1)], bos_token_id=1)
    else:
        vocabulary = byte_level_metadata(["ab"], ["a b"], bos_token_id=11)
        vocabulary["tokenizer.ggml.token_type"] = np.ones(257, np.int32)
    yarn = {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0}
    return (
        synthetic_model.metadata_of(architecture, block_count=LAYERS, **yarn, **OWN.get(architecture, {})) | vocabulary
    )


def keys(architecture: str) -> list[str]:
    """Every key that some reader asks for."""
    own = [*healthy(architecture), *(f"{architecture}.{key}" for key in MORE)]
    return list(dict.fromkeys([*own, *SHARED, *(f"tokenizer.ggml.{key}" for key in TOKENIZER)]))


def table() -> Iterator[tuple[str, str, str]]:
    """(architecture, key, poison): all of them."""
    for architecture in ARCHITECTURES:
        yield from itertools.product([architecture], keys(architecture), POISONS)


def opened(content: bytes) -> gguf.GGUF:
    """The file of these bytes, in memory. Raises what the reader raises."""
    buffer = mmap.mmap(-1, len(content))
    buffer.write(content)
    first = parse(buffer, PATH)
    return gguf.GGUF(PATH, [PATH], [buffer], first.version, first.tensors, gguf.Metadata(buffer, PATH, first.values))


class Poisoner:
    """Makes files in memory: a tiny model of an architecture with one key changed."""

    def __init__(self, architecture: str) -> None:
        self.metadata = healthy(architecture)
        rows, synthetic_model.VOCABULARY = synthetic_model.VOCABULARY, len(self.metadata["tokenizer.ggml.tokens"])
        weights = synthetic_model.weights_of(self.metadata)
        synthetic_model.VOCABULARY = rows
        self.infos = [(name, value.shape, formats.get("f32")) for name, value in weights.items()]
        self.data = [value.tobytes() for value in weights.values()]

    def file(self, key: str, poison: str) -> gguf.GGUF:
        """Raises what the reader raises; UsageError for what GGUF cannot hold."""
        layout = gguf.layout(self.metadata | {key: POISONS[poison]}, self.infos)
        parts, at = [*layout.header], sum(map(len, layout.header))
        for data in self.data if layout.alignment < 1 << 16 else ():
            parts += [bytes(-at % layout.alignment), data]
            at += -at % layout.alignment + len(data)
        return opened(b"".join(parts))
