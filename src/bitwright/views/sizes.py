"""Where a model's parameters are, by shape: how its count grows with its width and its layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bitwright.recipes.roles import role
from bitwright.views.plain import plain
from bitwright.views.rows import LAYER

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF

EMBEDDING = "token_embd.weight"
KINDS = {"token_embd": "vocabulary", "output": "vocabulary", "attn": "attention", "ffn": "feed-forward"}


def sizes(file: GGUF) -> dict[str, Any]:
    """parameters, width, vocabulary (both None if the file embeds no tokens), layers[tensors[{kind, shape}]] in order,
    outside[{kind, shape}]. Kinds are "vocabulary", "attention", "feed-forward" and "other"."""
    embedding = file.tensors.get(EMBEDDING)
    vocabulary, width = embedding.shape if embedding is not None and len(embedding.shape) == 2 else (None, None)
    layers: dict[int, list[dict[str, Any]]] = {}
    outside: list[dict[str, Any]] = []
    for tensor in file.tensors.values():
        match = LAYER.match(tensor.name)
        to = outside if match is None else layers.setdefault(int(match[1]), [])
        to.append({"kind": kind(tensor.name), "shape": tensor.shape})
    return plain(
        {
            "parameters": sum(math.prod(t.shape) for t in file.tensors.values()),
            "width": width,
            "vocabulary": vocabulary,
            "layers": [layers[number] for number in sorted(layers)],
            "outside": outside,
        }
    )


def kind(name: str) -> str:
    """What a tensor is for."""
    found = role(name)
    return KINDS.get(found) or KINDS.get(found.partition("_")[0], "other")
