"""What tensor names in a GGUF file mean.

Source: llama.cpp's src/llama-arch.cpp, https://github.com/ggml-org/llama.cpp
"""

from __future__ import annotations

import re
from functools import lru_cache

EXPERTS = "_exps"  # in the names of tensors that stack all experts of a layer
LOOKED_UP = ("token_embd.weight", "per_layer_token_embd.weight")  # a token needs one row of each


@lru_cache(1 << 14)  # names are the same in many models
def layer_number(name: str) -> int:
    """The number N in "blk.N.", or -1 for a tensor that belongs to no layer."""
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1
