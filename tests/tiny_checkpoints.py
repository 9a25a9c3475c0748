"""Small checkpoints with random weights, as Hugging Face publishes them: one folder for each of CASES.

Everything follows from a seed, so other programs' results for the same folders can be kept (tests/golden).
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from checkpoint_configs import CASES, DTYPES, SENTENCEPIECE
from checkpoints import write_set
from tiny_vocabularies import byte_level_json, characters_json, sentencepiece_model

from bitwright.model.conversion.families import FAMILIES
from bitwright.model.conversion.families.family import stem

CENTRED = ("gemma3", "qwen35", "qwen35moe", "qwen3next")  # architectures whose norms store their weight minus 1
IDS = [int(n) for n in np.random.default_rng(3).integers(5, 300, 40)]
CARD = """---
license: apache-2.0
language:
- en
- no
tags: [tiny, random]
pipeline_tag: text-generation
base_model: some-org/some-base-7b
datasets:
- other/texts
---
# A card
"""


def write(case: str, folder: Path) -> Path:
    """Writes the folder of a case."""
    folder.mkdir(exist_ok=True)
    kind = sentencepiece_model if case in SENTENCEPIECE else byte_level_json
    tokens = (characters_json if case.startswith("gemma4") else kind)(case, folder)
    config = {**CASES[case], "vocab_size": tokens, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}
    if "hidden_size_per_layer_input" in config:
        config["vocab_size_per_layer_input"] = tokens
    (folder / "config.json").write_text(json.dumps(config))
    generation = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.05, "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    (folder / "README.md").write_text(CARD)
    return write_set(folder, weights(config, DTYPES.get(case, "BF16")), parts=1 if "untied" in case else 2)


def texts(data: Path) -> list[str]:
    """The texts of llama.cpp's test of vocabularies, and random strings in the normal form that Qwen asks for."""
    rng = np.random.default_rng(7)
    shared = (data / "tokenizers/ggml-vocab-gpt-2.gguf.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    alphabet = list(" \n\tabcdefghijklmnopqrstuvwxyzABCXYZ0123456789.,'!?_-<|>äß▁한國🦙\u00a0")
    drawn = ["".join(rng.choice(alphabet, rng.integers(1, 40))) for _ in range(200)]
    return [unicodedata.normalize("NFC", text) for text in [*shared, *drawn]]


def weights(config: dict[str, Any], dtype: str, seed: int = 19) -> dict[str, np.ndarray]:
    """All tensors by Hugging Face's names: large enough that attention is not flat and layers matter."""
    from bitwright import formats
    from bitwright.model.architectures.families import blueprint

    rng, found, codes = np.random.default_rng(seed), dict[str, np.ndarray](), {}
    made, family = blueprint(config, "config.json", formats.get("bf16")), FAMILIES[config["model_type"]]
    names = family.names(made, ["model.embed_tokens.weight"])
    for tensor in made.tensors:
        if tensor.name not in names or names[tensor.name][0] in found:  # it follows from config.json, or has two parts
            continue
        shape = family.stored(made, stem(tensor.name), tensor.shape)
        values = rng.standard_normal(shape) * (1.5 / np.sqrt(tensor.shape[-1]) if len(tensor.shape) > 1 else 0.3)
        centred = made.architecture in CENTRED and "ssm_norm" not in tensor.name
        if ("norm" in tensor.name or "scale" in tensor.name) and not centred:
            values += 1
        stacked = names[tensor.name]
        for name, own in zip(stacked, values if len(stacked) > 1 else [values], strict=True):
            found[name] = own.astype(np.float32)
    if config["model_type"] == "gpt_oss":
        found, codes = together(found, in_codes="quantization_config" in config)
    return {name: as_dtype(values, dtype) for name, values in found.items()} | codes


def together(found: dict[str, np.ndarray], in_codes: bool) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The tensors of gpt-oss: gate and up of all experts in one, their rows in turn; matrices transposed or, with
    `in_codes`, in MXFP4. Returns the floats and the codes."""
    from bitwright import formats

    floats, codes = {}, {}
    for name, values in found.items():
        stem, _, part = name.partition(".experts.")
        if part.startswith("up_proj"):
            continue
        if part.startswith("gate_proj"):
            both = 3 * np.stack([values, found[name.replace("gate", "up")]], axis=2)  # the clamps catch some
            values, part = both.reshape(len(both), -1, *both.shape[3:]), part.replace("gate", "gate_up")
        stored = f"{stem}.experts.{part.removesuffix('.weight').replace('.', '_')}" if part else name
        if not part or values.ndim == 2:
            floats[stored] = values
        elif not in_codes:
            floats[stored] = np.ascontiguousarray(values.swapaxes(1, 2))
        else:
            kind = formats.get("mxfp4")
            each, (scales,) = kind.unpack(kind.quantize(values).reshape(-1, kind.block_bytes))
            each = each.reshape(*values.shape[:2], -1, 16, 2).astype(np.uint8)
            codes[f"{stored}_blocks"] = (each[..., 0] | each[..., 1] << 4).view("V1")
            codes[f"{stored}_scales"] = scales.astype(np.uint8).reshape(each.shape[:3]).view("V1")
    return floats, codes


def as_dtype(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values in a dtype of safetensors; bfloat16 as its bits, cut off."""
    if dtype == "BF16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(np.float16 if dtype == "F16" else np.float32)
