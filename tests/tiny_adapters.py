"""Small LoRA adapters with random factors for the checkpoints of tiny_checkpoints.py, as PEFT writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tiny_checkpoints
from checkpoints import safetensors

ADAPTERS: dict[str, dict[str, Any]] = {
    "plain": {"lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "down_proj"]},
    "every kind": {
        "lora_alpha": 6, "target_modules": ["v_proj", "o_proj", "embed_tokens"], "use_rslora": True,
        "rank_pattern": {"1.self_attn.v_proj": 3}, "alpha_pattern": {"1.self_attn.v_proj": 9, "2.self_attn.o_proj": 2},
        "modules_to_save": ["lm_head"],
    },
}  # fmt: skip


def write(name: str, base: Path, folder: Path, dtype: str = "F32") -> Path:
    """Writes the folder of a LoRA adapter for the checkpoint in `base`, one of ADAPTERS."""
    given = ADAPTERS[name]
    folder.mkdir()
    defaults = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "bias": "none", "fan_in_fan_out": False,
                "init_lora_weights": True, "use_dora": False, "use_rslora": False, "rank_pattern": {},
                "alpha_pattern": {}, "modules_to_save": None, "layer_replication": None}  # fmt: skip
    config = {**defaults, **given, "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    rng, tensors = np.random.default_rng(31), {}
    for weight, (rows, columns) in _matrices(base).items():
        module = weight.removesuffix(".weight")
        kind, stem = module.rsplit(".", 1)[-1], f"base_model.model.{module}"
        rank = next((r for end, r in config["rank_pattern"].items() if module.endswith(end)), config["r"])
        right, left = rng.standard_normal((rank, columns)), rng.standard_normal((rows, rank))
        parts: dict[str, np.ndarray] = {}
        if kind in (config["modules_to_save"] or ()):
            parts[".weight"] = rng.standard_normal((rows, columns)) / np.sqrt(columns)
        elif kind in config["target_modules"] and kind == "embed_tokens":
            parts = {".lora_embedding_A": left.T / 4, ".lora_embedding_B": right.T / 4}
        elif kind in config["target_modules"]:
            parts = {".lora_A.weight": right / np.sqrt(columns), ".lora_B.weight": left / 4}
        tensors |= {
            f"{stem}{end}": tiny_checkpoints.as_dtype(np.ascontiguousarray(part, np.float32), dtype)
            for end, part in parts.items()
        }
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors))
    return folder


def _matrices(base: Path) -> dict[str, tuple[int, int]]:
    config = json.loads((base / "config.json").read_text())
    return {name: values.shape for name, values in tiny_checkpoints.weights(config, "F32").items() if values.ndim == 2}
