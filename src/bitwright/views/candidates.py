"""What a few recipes make of a model that a reader compares with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.recipes.recipe import fallbacks

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.recipes import Assignment

FLOAT = 16  # bits per weight from which a format counts as a float original


def candidates(file: GGUF, recipes: Mapping[str, Sequence[Assignment]]) -> dict[str, Any]:
    """original{format (of most weights), bits_per_weight, bytes (of its tensors), quantized}, recipes[{name, bytes,
    bits_per_weight, formats{format: weights}, fallbacks (lines)}]."""
    weights = {t.name: math.prod(t.shape) for t in file.tensors.values()}
    total = sum(weights.values())
    held: Counter[str] = Counter()
    for t in file.tensors.values():
        held[t.format.name] += weights[t.name]
    most = held.most_common(1)[0][0]
    size = sum(t.nbytes for t in file.tensors.values())
    quantized = any(t.format.bits_per_weight < FLOAT for t in file.tensors.values())
    found = []
    for name, made in recipes.items():
        counts: Counter[str] = Counter()
        for a in made:
            counts[a.format.name] += weights[a.tensor]
        bytes = sum(a.bytes for a in made)
        found.append({"name": name, "bytes": bytes, "bits_per_weight": 8 * bytes / total,
                      "formats": dict(counts.most_common()), "fallbacks": fallbacks(made)})  # fmt: skip
    original = {"format": most, "bits_per_weight": 8 * size / total, "bytes": size, "quantized": quantized}
    return {"original": original, "recipes": found}
