"""A recipe that was found for one model, applied to its sister: one of other depth or widths, or fine-tuned from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bitwright.formats import Format
from bitwright.formats.tensor import HasFormat
from bitwright.model.architectures.names import layer_number
from bitwright.recipes import Pattern, Recipe

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
SHOWN = 3  # names that a remark lists


@dataclass(frozen=True)
class Reused:
    """remarks: what was done for tensors that the recipe does not name, one line each."""

    recipe: Recipe
    remarks: tuple[str, ...]


def reuse(recipe: Recipe, tensors: Sequence[HasFormat]) -> Reused:
    """`recipe` for a model with these tensors (those that get a format: `budget.searched`).

    A model of the same depth takes the formats by name. One of another depth takes them by relative depth, for each
    kind of tensor. An output that either model lacks is its embedding. The recipe's other patterns and its file type
    decide next; what is left gets the format that the recipe gives most tensors. A format whose blocks do not divide
    the rows falls back when the recipe is applied (`Recipe.assign`).
    """
    named = {p.name: p.format for p in reversed(recipe.patterns) if p.name is not None}
    others = tuple(p for p in recipe.patterns if p.name is None)
    if not named:
        return Reused(recipe, ())
    found, remarks = _by_depth(named, [t.name for t in tensors])
    remarks += _outputs(named, found, [t.name for t in tensors])
    left = [t.name for t in tensors if t.name not in found and not any(p.matches(t.name) for p in others)]
    if left and recipe.file_type is None:
        format = Counter(named.values()).most_common(1)[0][0]
        found |= dict.fromkeys(left, format)
        remarks.append(f"the recipe has no counterpart of {_list(left)}: {format.name}, its most frequent format")
    exact = tuple(Pattern.exact(t.name, found[t.name]) for t in tensors if t.name in found)
    return Reused(replace(recipe, patterns=(*exact, *others)), tuple(remarks))


def _by_depth(named: Mapping[str, Format], names: Iterable[str]) -> tuple[dict[str, Format], list[str]]:
    """The formats of tensors that have a counterpart, and what was mapped."""
    names = list(names)
    depth, own = (1 + max(map(layer_number, of), default=-1) for of in (named, names))
    layers: dict[str, list[int]] = defaultdict(list)  # of each kind of tensor in the recipe
    for name in named:
        layers[_kind(name)].append(layer_number(name))
    found = {}
    for name in names:
        kind, layer = _kind(name), layer_number(name)
        if layer < 0 or own == depth:
            if name in named:
                found[name] = named[name]
        elif kind in layers:
            there = (layer + 0.5) / own * depth - 0.5
            nearest = min(layers[kind], key=lambda other: (abs(other - there), other))
            found[name] = named[f"blk.{nearest}.{kind}"]
    spread = own != depth and any(layer_number(name) >= 0 for name in found)
    return found, [f"the recipe's {depth} layers are spread over {own}, by relative depth"] if spread else []


def _outputs(named: Mapping[str, Format], found: dict[str, Format], names: Sequence[str]) -> list[str]:
    """Where one of the models has no output of its own, its embedding is meant. Adds to `found`."""
    if OUTPUT in named and OUTPUT not in names and EMBEDDING in names:
        formats = [found[EMBEDDING]] if EMBEDDING in found else []
        best = max(*formats, named[OUTPUT], key=lambda f: f.bits_per_weight) if formats else named[OUTPUT]
        found[EMBEDDING] = best
        return [f"{EMBEDDING} is this model's output too: {best.name}"]
    if OUTPUT not in named and OUTPUT in names and EMBEDDING in named:
        found[OUTPUT] = named[EMBEDDING]
        return [f"{OUTPUT} gets the format of the embedding, which is the output in the recipe: {found[OUTPUT].name}"]
    return []


def _kind(name: str) -> str:
    """blk.3.attn_q.weight -> attn_q.weight."""
    return name.split(".", 2)[2] if layer_number(name) >= 0 else name


def _list(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
