"""Real tensors to try encoders on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bitwright.io import gguf

REAL = {
    "widened": ["token_embd.weight", "blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.14.ffn_down.weight",
                "blk.29.ffn_up.weight", "blk.29.attn_output.weight"],
    "gemma3": ["blk.3.attn_output.weight", "blk.10.attn_output.weight"],
}  # fmt: skip


def real_tensors(request: pytest.FixtureRequest, rows: int, spread: bool) -> dict[str, NDArray[np.float32]]:
    """Up to a number of rows, the first or spread over all, of tensors whose rows are whole superblocks."""
    found = {}
    for model, names in REAL.items():
        file = gguf.open(request.getfixturevalue(model))
        for name in names:
            tensor = file.tensor(name)
            step = max(1, len(tensor.data) // rows) if spread else 1
            found[f"{model} {name}"] = tensor.format.dequantize(tensor.data[::step][:rows])
    return found
