"""Recipes: which format each tensor gets, by patterns, by the rules of a file type, and by what its shape allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bitwright import formats
from bitwright.errors import UnknownNameError
from bitwright.formats import Format
from bitwright.formats.tensor import HasFormat
from bitwright.model.architectures.names import layer_number
from bitwright.recipes.chooser import Chooser
from bitwright.recipes.file_types import ALIASES, FILE_TYPES
from bitwright.recipes.pattern import LONGEST_NAME, Pattern
from bitwright.recipes.roles import is_quantized
from bitwright.recipes.rules import Shape

# The format to use if a format's blocks do not divide the row.
FALLBACKS = dict.fromkeys(("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl")
FALLBACKS |= dict.fromkeys(("q2_k", "q3_k", "tq1_0", "tq2_0", "q2_0"), "q4_0")
FALLBACKS["q1_0"] = "q4_0"  # llama.cpp has no fallback here and gives up
FALLBACKS |= {"q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}
NEEDS_IMPORTANCE = {"iq3_xxs", "iq2_xxs", "iq2_xs", "iq2_s", "iq1_m", "iq1_s"}
NEVER_WITHOUT = {"iq2_xxs", "iq2_xs", "iq1_s"}  # not even for an embedding (ggml_quantize_requires_imatrix of ggml.c)
KEPT = "kept as it is"


@dataclass(frozen=True)
class Assignment:
    """reason: why the format is not the file type's base format ("" if it is). fallback: the part of the reason that
    says why the shape did not allow the chosen format ("" if it did)."""

    tensor: str
    format: Format
    bytes: int
    reason: str = ""
    fallback: str = ""


@dataclass(frozen=True, repr=False)
class Recipe:
    """The first of `patterns` that matches a tensor's name decides its format.

    The rules of `file_type`, one of llama.cpp's (a key of FILE_TYPES), decide for the others; without a file type they
    keep their format. A search result is a recipe whose patterns name every tensor (`Recipe.exact`).
    """

    patterns: tuple[Pattern, ...] = ()
    file_type: str | None = None

    @classmethod
    def named(cls, name: str) -> Recipe:
        """The recipe of llama.cpp's file type `name`, in any case. Raises UnknownNameError for an unknown name."""
        key = ALIASES.get(name.lower(), name.lower())
        if key not in FILE_TYPES:
            raise UnknownNameError("recipe", name, [*FILE_TYPES, *ALIASES])
        return cls(file_type=key)

    @classmethod
    def exact(cls, chosen: Mapping[str, Format], file_type: str | None = None) -> Recipe:
        """The recipe that gives each named tensor its format."""
        return cls(tuple(Pattern.exact(name, format) for name, format in chosen.items()), file_type)

    def __repr__(self) -> str:
        count = len(self.patterns)
        patterns = f"{count} pattern{'s' * (count != 1)}" if count else ""
        return f"<Recipe: {', then '.join(filter(None, (patterns, self.file_type))) or 'every format kept'}>"

    def preceded(self, patterns: Iterable[Pattern]) -> Recipe:
        """This recipe with more patterns in front, which therefore win."""
        return replace(self, patterns=(*patterns, *self.patterns))

    @property
    def base(self) -> Format | None:
        """The format of tensors that no pattern and no rule singles out."""
        return None if self.file_type is None else formats.get(FILE_TYPES[self.file_type].base)

    def assign(self, model: Shape, tensors: Sequence[HasFormat], importance: bool = False) -> list[Assignment]:
        """A format for every tensor, in the order given. importance: whether importance data are available.

        As in llama.cpp, rules count tensors by layer and name, and leave out those that a pattern matches.
        """
        quantizable = sorted(_quantizable(model, tensors), key=lambda t: (layer_number(t.name), t.name))
        rules = self.file_type and Chooser(self.file_type, model, [t.name for t in tensors], importance)
        chosen = {}
        for tensor in quantizable:
            pattern = self.pattern(tensor.name)
            if pattern is not None:
                chosen[tensor.name] = _fit(tensor, pattern.format, f"pattern {pattern.regex}")
            elif rules:
                chosen[tensor.name] = _fit(tensor, *rules(tensor))
        return [chosen.get(t.name) or _assignment(t, t.format, KEPT) for t in tensors]

    def pattern(self, name: str) -> Pattern | None:
        """The first pattern that matches a tensor's name; None if none does."""
        exact, others = self._places
        found = next((place for place in others if self.patterns[place].matches(name)), len(self.patterns))
        found = min(found, exact.get(name, found))
        return self.patterns[found] if found < len(self.patterns) else None

    @cached_property
    def _places(self) -> tuple[dict[str, int], list[int]]:
        """Where patterns of whole names are, by name, and where the others are: a search result names every tensor."""
        names = [p.name for p in self.patterns]
        exact = {name: place for place, name in reversed([*enumerate(names)]) if name and len(name) <= LONGEST_NAME}
        return exact, [place for place, name in enumerate(names) if name not in exact]

    def unmatched(self, model: Shape, tensors: Sequence[HasFormat]) -> list[Pattern]:
        """The patterns that match no tensor that is quantized."""
        names = [t.name for t in _quantizable(model, tensors)]
        return [p for p in self.patterns if not any(map(p.matches, names))]


def fallbacks(assignments: Iterable[Assignment]) -> list[str]:
    """A line for each reason why tensors did not get the format that the recipe chose, the most frequent first."""
    reasons = Counter(a.fallback for a in assignments)
    reasons.pop("", None)
    return [f"{number} {'tensor' if number == 1 else 'tensors'}: {reason}" for reason, number in reasons.most_common()]


def _quantizable(model: Shape, tensors: Iterable[HasFormat]) -> list[HasFormat]:
    return [t for t in tensors if is_quantized(t.name, t.shape, model.architecture)]


def _assignment(tensor: HasFormat, format: Format, reason: str, fallback: str = "") -> Assignment:
    return Assignment(tensor.name, format, format.stored_bytes(tensor.shape), reason, fallback)


def _fit(tensor: HasFormat, wanted: Format, reason: str) -> Assignment:
    """The wanted format, or its fallback if its blocks do not divide the columns."""
    columns = tensor.shape[-1]
    if not wanted.block_size or columns % wanted.block_size == 0:
        return _assignment(tensor, wanted, reason)
    format = formats.get(FALLBACKS.get(wanted.name, wanted.name))
    if columns % format.block_size:
        format = formats.get("f16")
    fallback = f"{columns} columns are not a multiple of {wanted.block_size} ({wanted.name}): {format.name} instead"
    return _assignment(tensor, format, f"{reason}; {fallback}" if reason else fallback, fallback)
