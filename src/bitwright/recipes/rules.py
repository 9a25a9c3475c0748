"""The rules that file types are made of: which format tensors of one role get, by their place in the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bitwright.io.values import Values

# With this many layers llama.cpp classes a model as 70B (a llama only if queries share keys).
LAYERS_OF_70B = {"llama": 80, "deci": 80, "qwen2": 80, "olmo": 80, "jais2": 68}


@dataclass(frozen=True)
class Shape:
    """What the rules need to know about a model. `heads` and `kv_heads` are those of the first layer."""

    architecture: str
    layers: int
    heads: int = 0
    kv_heads: int = 0
    experts: int = 0

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Shape:
        """From GGUF metadata; an absent key counts as 0. Raises FileFormatError for a value that is not a number."""
        values = Values.of_gguf(metadata)
        heads = values.first("attention.head_count", 0)
        kv_heads = values.first("attention.head_count_kv", heads)
        layers, experts = values.integer("block_count", 0), values.integer("expert_count", 0)
        return cls(values.prefix, layers, heads, kv_heads, experts)

    @property
    def queries_per_key(self) -> int:
        """Query heads per head of keys; 0 without attention."""
        return self.heads // self.kv_heads if self.kv_heads else 0

    @property
    def is_70b(self) -> bool:
        """Whether the model has the shape of a 70B llama."""
        of_size = LAYERS_OF_70B.get(self.architecture) == self.layers
        return of_size and (self.architecture != "llama" or self.heads != self.kv_heads)


@dataclass(frozen=True)
class Place:
    """A tensor's place among those of its role: `index` of `count`, in order of layer and name."""

    index: int
    count: int
    model: Shape
    importance: bool  # whether importance data are available

    @property
    def deserves_more_bits(self) -> bool:
        """llama.cpp's use_more_bits: the first and the last eighth, and every third tensor between them."""
        i, n = self.index, self.count
        return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


# A rule gives the name of a format for a place, or None to keep the file type's base format.
Rule = Callable[[Place], "str | None"]


def always(name: str) -> Rule:
    """This format."""
    return lambda place: name


def where_more_bits(name: str) -> Rule:
    """This format in layers that deserve more bits."""
    return lambda place: name if place.deserves_more_bits else None


def first_share(divisor: int, name: str, otherwise: str | None = None) -> Rule:
    """`name` for the first 1/divisor of the tensors."""
    return lambda place: name if place.index < place.count // divisor else otherwise


def first(number: int, name: str, otherwise: str | None = None) -> Rule:
    """This format in the first `number` layers."""
    return lambda place: name if place.index < number else otherwise


def inner(name: str) -> Rule:
    """`name` for all but the first and the last eighth."""
    return lambda place: name if place.count // 8 <= place.index < 7 * place.count // 8 else None


def shared_keys(name: str, otherwise: str | None = None) -> Rule:
    """`name` if four or more query heads share a key head, which makes the tensor small."""
    return lambda place: name if place.model.queries_per_key >= 4 else otherwise


def shared_keys_or_experts(name: str, otherwise: str | None = None) -> Rule:
    """This format if four or more queries share a key, or the model has four or more experts."""
    return lambda place: name if place.model.queries_per_key >= 4 or place.model.experts >= 4 else otherwise


def without_importance(rule: Rule, otherwise: str | None = None) -> Rule:
    """`rule` without importance data, else `otherwise`."""
    return lambda place: otherwise if place.importance else rule(place)


def with_importance(rule: Rule) -> Rule:
    """`rule` if there are importance data."""
    return lambda place: rule(place) if place.importance else None


def either(*rules: Rule) -> Rule:
    """The format of the first rule that gives one."""
    return lambda place: next((name for rule in rules if (name := rule(place))), None)


def eight_experts(rule: Rule) -> Rule:
    """`rule` in a model of exactly eight experts."""
    return lambda place: rule(place) if place.model.experts == 8 else None


def unless_eight_experts(rule: Rule) -> Rule:
    """`rule` in any model except one of eight experts."""
    return lambda place: rule(place) if place.model.experts != 8 else None


def falcon(rule: Rule | None, others: Rule) -> Rule:
    """`rule` for Falcon, `others` for every other architecture."""
    return lambda place: others(place) if place.model.architecture != "falcon" else rule(place) if rule else None
