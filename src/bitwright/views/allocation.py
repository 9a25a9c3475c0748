"""Who gets the bits: what each format takes and costs in each tensor, presets, and the search that was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bitwright import formats
from bitwright.model.architectures.names import layer_number
from bitwright.recipes.roles import role
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

KEPT = ("levels", "parent", "origin", "generation", "gain", "chunks", "scores", "outcome")


def allocation(file: GGUF, found: Mapping[str, Any]) -> dict[str, Any]:
    """source (history, built-in or survey), origin (of the built-in one, in words), tensors[{name, role, layer (None
    outside of the layers)}], formats[{name, bits_per_weight}], bytes and cost (rows of tensors, columns of formats; no
    bytes or no cost: it cannot be used. Nats per token; of a survey relative errors), presets{name: level of each
    tensor}, tried (a history's candidates: levels, parent, origin, generation, gain, chunks, scores, outcome), best."""
    tensors = []
    for name in found["tensors"]:
        layer = layer_number(name) if name.startswith("blk.") else None
        tensors.append({"name": name, "role": role(name), "layer": layer})
    return plain(
        {
            "source": found["source"],
            "origin": found.get("origin", ""),
            "tensors": tensors,
            "formats": [{"name": n, "bits_per_weight": formats.get(n).bits_per_weight} for n in found["formats"]],
            "bytes": found["bytes"],
            "cost": found["cost"],
            "presets": found["presets"],
            "tried": [{key: one.get(key) for key in KEPT} for one in found["tried"]],
            "best": found["best"],
        }
    )
