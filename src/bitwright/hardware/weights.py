"""Bytes of weights, exact for every tensor: of a model as it is, or in the formats that a recipe gives it."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence

from bitwright.io import gguf
from bitwright.model.architectures.names import EXPERTS
from bitwright.model.architectures.outline import Outline
from bitwright.quantizers.metadata import metadata_of
from bitwright.recipes import Assignment, Recipe, Shape


def assign(outline: Outline, recipe: str | Recipe | None, importance: bool = False) -> list[Assignment]:
    """A format for every tensor of the outline, fallbacks included; recipe None: the formats they have.

    Raises UnknownNameError for an unknown recipe.
    """
    if recipe is not None:
        recipe = recipe if isinstance(recipe, Recipe) else Recipe.named(recipe)
        return recipe.assign(Shape.of(outline.metadata), outline.tensors, importance)
    return [Assignment(t.name, t.format, t.format.stored_bytes(t.shape)) for t in outline.tensors]


def is_stored(outline: Outline, assignments: Iterable[Assignment]) -> bool:
    """Whether these are the assignments that `assign` makes without a recipe."""
    return all(not a.reason and a.format == t.format for a, t in zip(assignments, outline.tensors, strict=True))


def assigned(outline: Outline, formats: str | Recipe | Sequence[Assignment] | None) -> Sequence[Assignment]:
    """The assignments, or those that `assign` makes of a recipe."""
    return assign(outline, formats) if formats is None or isinstance(formats, str | Recipe) else formats


def weight_bytes(assignments: Iterable[Assignment]) -> int:
    """Bytes of all assigned tensors together."""
    return sum(a.bytes for a in assignments)


def file_bytes(outline: Outline, assignments: Sequence[Assignment], recipe: str | Recipe | None = None) -> int:
    """The size of the GGUF file that holds these weights, with the header and padding of `gguf.write`.

    Exact for the outline of a file; for others the tokenizer is estimated (`outline.vocabulary_bytes`).
    """
    source, metadata, more = outline.metadata, outline.metadata, outline.vocabulary_bytes
    if isinstance(source, gguf.Metadata):  # its arrays, such as the vocabulary, are the same in every file
        metadata, more = source.scalars(), source.array_bytes
    if recipe is not None:
        metadata = metadata_of(recipe if isinstance(recipe, Recipe) else Recipe.named(recipe), metadata)
    placed = ((a.tensor, t.shape, a.format) for a, t in zip(assignments, outline.tensors, strict=True))
    return gguf.layout(metadata, placed, more).total


def bytes_per_token(outline: Outline, assignments: Iterable[Assignment], tokens: int = 1) -> int:
    """Bytes of weights, as they are stored, that decoding one token of each of `tokens` sequences reads.

    Experts count if they are used: for several tokens, the expected number of distinct ones if each token chose at
    random. The embedding counts only if it is the output too.
    """
    return round(sum(_share(outline, a.tensor, tokens) * a.bytes for a in assignments))


def operations_per_token(outline: Outline, tensors: Container[str] | None = None) -> int:
    """Operations of one token's matrix products with weights (None: all); a multiplication and an addition count as
    two."""
    matrices = (t for t in outline.tensors if len(t.shape) > 1 and t.name.endswith(".weight"))
    matrices = (t for t in matrices if tensors is None or t.name in tensors)
    return round(sum(2 * outline.share_read(t.name) * math.prod(t.shape) for t in matrices))


def attention_operations(outline: Outline, depth: int) -> int:
    """Operations of one token's products with keys and values, after `depth` other tokens."""
    total = 0
    for layer in outline.layers:
        seen = depth + 1 if layer.window is None else min(depth + 1, layer.window)
        if layer.kv_heads:  # a latent vector is scored whole; the sum leaves its rotary part out
            total += 2 * layer.heads * (layer.key_dim + layer.value_dim + layer.latent_rank) * seen
    return total


def _share(outline: Outline, name: str, tokens: int) -> float:
    share = outline.share_read(name)
    if tokens > 1 and EXPERTS in name and outline.experts:
        return 1 - (1 - share) ** tokens
    return share


def bits_per_weight(outline: Outline, assignments: Iterable[Assignment]) -> float:
    """All stored bits divided by the number of weights."""
    return 8 * weight_bytes(assignments) / max(1, outline.parameters)


def multiplied_as(outline: Outline, assignments: Iterable[Assignment]) -> dict[str, float]:
    """The share of a token's operations that each format's weights take part in: {format: share}."""
    read = {t.name: 2 * outline.share_read(t.name) * math.prod(t.shape) for t in outline.tensors if len(t.shape) > 1}
    total, found = sum(read.values()), dict[str, float]()
    for a in assignments:
        if read.get(a.tensor):
            found[a.format.name] = found.get(a.format.name, 0.0) + read[a.tensor] / total
    return found
