"""A model's shape, which both the planner and the engine need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from bitwright.formats.tensor import HasShape
from bitwright.io.values import MAX_TOKENS, Values
from bitwright.model.architectures.layers import Layer, read_layers


@dataclass(frozen=True)
class Architecture:
    """architecture: the family's name in GGUF. layers: one entry per block. width: values of a token between layers.
    feed_forward: length of the longest feed-forward, dense or an expert's. vocabulary: rows of the embedding.
    context: tokens it was trained on. experts: in a layer, of which a token takes experts_used; 0 without.
    A width, feed_forward or context of 0 means that the file does not say."""

    architecture: str
    layers: tuple[Layer, ...]
    width: int
    feed_forward: int
    vocabulary: int
    context: int
    experts: int
    experts_used: int

    @property
    def heads(self) -> int:
        """Heads of queries in the layer with the most."""
        return max(layer.heads for layer in self.layers)

    @cached_property
    def alike(self) -> Counter[Layer]:
        """How many layers there are of each shape."""
        return Counter(self.layers)


def read_architecture(values: Values, tensors: Iterable[HasShape]) -> Architecture:
    """The shape of a GGUF file with these values and tensors. FileFormatError for impossible values."""
    tensors = tuple(tensors)
    layers = read_layers(values, tensors)
    experts, used = values.integer("expert_count", 0), values.integer("expert_used_count", 0)
    if used > experts or (experts and not used):
        raise values.error("expert_used_count", f"1 to {experts}, of {experts} experts")
    lengths = (values.per_layer(f"{of}feed_forward_length", len(layers), 0) for of in ("", "expert_"))
    rows = {tensor.name: tensor.shape[0] for tensor in tensors}
    return Architecture(
        architecture=values.prefix,
        layers=layers,
        width=values.integer("embedding_length", 0),
        feed_forward=max(max(each) for each in lengths),
        vocabulary=rows.get("token_embd.weight") or values.integer("vocab_size", 0),
        context=values.integer("context_length", 0, high=MAX_TOKENS),
        experts=experts,
        experts_used=used,
    )
