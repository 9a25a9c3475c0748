"""What compressed-tensors and transformers take small quantized matrices for.

    pip install torch transformers compressed-tensors
    python tests/model/make_quantized_goldens.py

writes tests/golden/quantized_weights.npz: for each of LAYOUTS, and for FP8, the tensors of a matrix as they are stored,
and under "floats" the matrix; each under "case/type/name", types by the names of safetensors. Floats that NumPy lacks
are kept as their bits.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).resolve().parents[1] / "golden/quantized_weights.npz"
# By case: the settings of weights in config.json, the format, and the type of scales.
LAYOUTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "int4 groups": ({"num_bits": 4, "strategy": "group", "group_size": 8}, "pack-quantized", "bfloat16"),
    "int4 groups, zeros": (
        {"num_bits": 4, "strategy": "group", "group_size": 8, "symmetric": False}, "pack-quantized", "float16",
    ),
    "int8 rows, packed, zeros": (
        {"num_bits": 8, "strategy": "channel", "symmetric": False}, "pack-quantized", "bfloat16",
    ),
    "int2 groups": ({"num_bits": 2, "strategy": "group", "group_size": 20}, "pack-quantized", "float16"),
    "int8 rows": ({"num_bits": 8, "strategy": "channel"}, "int-quantized", "bfloat16"),
    "int8 rows, zeros": ({"num_bits": 8, "strategy": "channel", "symmetric": False}, "naive-quantized", "float16"),
    "fp8 rows": ({"num_bits": 8, "type": "float", "strategy": "channel"}, "float-quantized", "bfloat16"),
    "fp8 whole": ({"num_bits": 8, "type": "float", "strategy": "tensor"}, "float-quantized", "bfloat16"),
    "fp8 blocks": (
        {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [16, 16]}, "float-quantized",
        "bfloat16",
    ),
}  # fmt: skip
FP4: dict[str, tuple[dict[str, Any], str]] = {
    "mxfp4": ({"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"},
              "mxfp4-pack-quantized"),
    "nvfp4": ({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16,
               "scale_dtype": "torch.float8_e4m3fn"}, "nvfp4-pack-quantized"),
}  # fmt: skip
FP8, BLOCK = "fp8, inverse scales", 16  # the layout of DeepSeek and Qwen, with float32 scales of blocks of 16 x 16
ROWS, COLUMNS, WIDE = 27, 40, 64
TYPES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "int8": "I8", "int32": "I32", "int64": "I64",
         "float8_e4m3fn": "F8_E4M3", "uint8": "U8"}  # fmt: skip


def compressed(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """The tensors of a matrix of one of LAYOUTS, and its floats."""
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    settings, kind, dtype = LAYOUTS[name]
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**settings))
    scales = {
        "tensor": (1,),
        "channel": (ROWS, 1),
        "group": (ROWS, COLUMNS // settings.get("group_size", 1)),
        "block": (math.ceil(ROWS / BLOCK), math.ceil(COLUMNS / BLOCK)),
    }[settings["strategy"]]
    weight = torch.tensor(rng.standard_normal((ROWS, COLUMNS)), dtype=getattr(torch, dtype))
    most = 448 if settings.get("type") == "float" else 1 << (settings["num_bits"] - 1)
    scale = torch.tensor(rng.uniform(2, 4, scales) / most, dtype=weight.dtype)
    zero = torch.tensor(rng.integers(-most // 4, most // 4 + 1, scales), dtype=torch.int8)
    if settings.get("symmetric", True):
        zero = torch.zeros_like(zero)
    compressor = BaseCompressor.get_value_from_registry(kind)
    parts = compressor.compress({"weight": weight, "weight_scale": scale, "weight_zero_point": zero}, scheme)
    return {**parts, "floats": compressor.decompress(parts, scheme)["weight"]}


def fp4(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """The tensors of a matrix of one of FP4, whose scales are powers of two or under one for all, and its floats."""
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    settings, kind = FP4[name]
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**settings))
    weight = torch.tensor(rng.standard_normal((ROWS, WIDE)), dtype=torch.bfloat16)
    shape = (ROWS, WIDE // settings["group_size"])
    parts = {"weight": weight}
    if name == "mxfp4":
        parts["weight_scale"] = torch.tensor(2.0 ** rng.integers(-4, 1, shape), dtype=torch.bfloat16)
    else:
        parts["weight_scale"] = torch.tensor(rng.uniform(1, 20, shape)).to(torch.float8_e4m3fn).to(torch.bfloat16)
        parts["weight_global_scale"] = torch.tensor([16.0], dtype=torch.float32)
    compressor = BaseCompressor.get_value_from_registry(kind)
    stored = compressor.compress(parts, scheme)
    return {**stored, "floats": compressor.decompress(stored, scheme)["weight"].to(torch.bfloat16)}


def fp8(rng: np.random.Generator) -> dict[str, Any]:
    """The tensors of a matrix in FP8's own layout, and its floats."""
    import torch
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    codes = torch.tensor(200 * rng.standard_normal((2 * BLOCK, 3 * BLOCK))).clamp(-448, 448).to(torch.float8_e4m3fn)
    scale = torch.tensor(rng.uniform(1, 2, (2, 3)) / 448, dtype=torch.float32)
    floats = Fp8Dequantize(None)._dequantize_one(codes, scale, torch.bfloat16)
    return {"weight": codes, "weight_scale_inv": scale, "floats": floats}


def main() -> None:
    """Write the file."""
    import torch

    rng = np.random.default_rng(23)
    cases, kept = {name: compressed(name, rng) for name in LAYOUTS} | {FP8: fp8(rng)}, {}
    cases |= {name: fp4(name, rng) for name in FP4}
    for case, tensors in cases.items():
        for name, tensor in tensors.items():
            type = str(tensor.dtype).removeprefix("torch.")
            plain = {"bfloat16": torch.uint16, "float8_e4m3fn": torch.uint8}.get(type, tensor.dtype)
            kept[f"{case}/{TYPES[type]}/{name}"] = tensor.view(plain).numpy()
    np.savez_compressed(GOLDEN, **kept)


if __name__ == "__main__":
    main()
