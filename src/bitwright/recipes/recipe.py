"""Recipes: which format each tensor gets, by llama.cpp's file types, overrides by name and fallbacks by shape."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bitwright import formats
from bitwright.errors import UnknownNameError, UsageError
from bitwright.formats import Format
from bitwright.recipes.file_types import ALIASES, FILE_TYPES, FileType
from bitwright.recipes.roles import is_quantized, layer, role
from bitwright.recipes.rules import Place, Shape

# What takes the place of a format whose blocks do not fit a row.
FALLBACKS = dict.fromkeys(("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl")
FALLBACKS |= dict.fromkeys(("q2_k", "q3_k", "tq1_0", "tq2_0", "q2_0"), "q4_0")
FALLBACKS["q1_0"] = "q4_0"  # llama.cpp has none and gives up
FALLBACKS |= {"q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}
CHEAP_OUTPUT = {"iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs"}  # their output is Q5_K, not Q6_K
FUSED = {"attn_qkv": "attn_v", "attn_kv_b": "attn_v"}  # they hold attn_v, the tenderest part
GLM5_TENDER = ("attn_q_a", "attn_q_b", "nextn.eh_proj")  # never below Q8_0 in glm5-next
NEEDS_IMPORTANCE = {"iq3_xxs", "iq2_xxs", "iq2_xs", "iq2_s", "iq1_m", "iq1_s"}


class Tensor(Protocol):
    """What a recipe needs of a tensor; `shape` in NumPy order."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def format(self) -> Format: ...


@dataclass(frozen=True)
class Assignment:
    """reason: why the format is not the recipe's base ("" where it is). fallback: the part of it that says that the
    shape did not allow the format that was wanted ("" where it did)."""

    tensor: str
    format: Format
    bytes: int
    reason: str = ""
    fallback: str = ""


@dataclass(frozen=True)
class Override:
    """Tensors whose name the pattern finds get the format, whatever the recipe says."""

    pattern: str
    format: Format

    @classmethod
    def parse(cls, text: str) -> Override:
        """From "REGEX=FORMAT". Raises UsageError for a bad pattern, UnknownNameError for an unknown format."""
        pattern, separator, name = text.rpartition("=")
        if not separator or not pattern:
            raise UsageError(f"--tensor-type expects REGEX=FORMAT, got {text!r}")
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--tensor-type {text!r}: {pattern!r} is not a regular expression: {error}") from None
        return cls(pattern, formats.get(name))


@dataclass(frozen=True)
class Recipe:
    name: str
    file_type: FileType

    @classmethod
    def named(cls, name: str) -> Recipe:
        """The recipe of llama.cpp's file type `name`, in any case. Raises UnknownNameError listing the names."""
        key = name.lower()
        key = ALIASES.get(key, key)
        if key not in FILE_TYPES:
            raise UnknownNameError("recipe", name, [*FILE_TYPES, *ALIASES])
        return cls(key, FILE_TYPES[key])

    @property
    def base(self) -> Format:
        return formats.get(self.file_type.base)

    def assign(
        self, model: Shape, tensors: Sequence[Tensor], overrides: Iterable[Override] = (), importance: bool = False
    ) -> list[Assignment]:
        """A format for every tensor, in the order given. The rules count tensors by layer and name, as llama.cpp does.

        Raises UsageError for an override that no quantizable tensor matches.
        """
        overrides = list(overrides)
        quantizable = [t for t in tensors if is_quantized(t.name, t.shape, model.architecture)]
        unused = [o for o in overrides if not any(re.search(o.pattern, t.name) for t in quantizable)]
        if unused:
            raise UsageError(f"--tensor-type {unused[0].pattern!r} matches no tensor that is quantized")
        choose = _Chooser(self, model, [t.name for t in tensors], importance)
        chosen = {t.name: _fit(t, *_pick(t, choose, overrides)) for t in sorted(quantizable, key=_by_layer)}
        return [chosen.get(t.name) or _assignment(t, t.format, "kept as it is") for t in tensors]


def recipes() -> list[str]:
    """The names that `Recipe.named` knows, aliases left out."""
    return list(FILE_TYPES)


def _by_layer(tensor: Tensor) -> tuple[int, str]:
    return layer(tensor.name), tensor.name


def _assignment(tensor: Tensor, format: Format, reason: str, fallback: str = "") -> Assignment:
    rows = 1
    for length in tensor.shape[:-1]:
        rows *= length
    return Assignment(tensor.name, format, rows * format.row_bytes(tensor.shape[-1]), reason, fallback)


def _pick(tensor: Tensor, choose: _Chooser, overrides: Sequence[Override]) -> tuple[Format, str]:
    """An overridden tensor is not counted by the rules, as in llama.cpp."""
    for override in overrides:
        if re.search(override.pattern, tensor.name):
            return override.format, f"--tensor-type {override.pattern}"
    return choose(tensor)


def _fit(tensor: Tensor, wanted: Format, reason: str) -> Assignment:
    """The wanted format, or what stands in for it where its blocks do not divide the columns."""
    columns = tensor.shape[-1]
    if not wanted.block_size or columns % wanted.block_size == 0:
        return _assignment(tensor, wanted, reason)
    format = formats.get(FALLBACKS.get(wanted.name, wanted.name))
    if columns % format.block_size:
        format = formats.get("f16")
    fallback = f"{columns} columns are not a multiple of {wanted.block_size} ({wanted.name}): {format.name} instead"
    return _assignment(tensor, format, f"{reason}; {fallback}" if reason else fallback, fallback)


class _Chooser:
    """The recipe's rules over one model, called once for each quantizable tensor in order."""

    def __init__(self, recipe: Recipe, model: Shape, names: Sequence[str], importance: bool) -> None:
        self.recipe, self.file_type, self.model, self.importance = recipe, recipe.file_type, model, importance
        self.tied = "output.weight" not in names
        self.values = sum(FUSED.get(role(name), role(name)) == "attn_v" for name in names)
        self.seen: Counter[str] = Counter()

    def __call__(self, tensor: Tensor) -> tuple[Format, str]:
        kind = role(tensor.name)
        name = self.format_name(tensor, kind)
        return formats.get(name), "" if name == self.file_type.base else f"{kind} in {self.recipe.name}"

    def format_name(self, tensor: Tensor, kind: str) -> str:
        base = self.file_type.base
        if base in ("f32", "f16", "bf16"):
            return base
        if self.model.architecture == "glm5-next" and any(p in tensor.name for p in GLM5_TENDER):
            return "q8_0"
        if kind == "output" or (self.tied and kind == "token_embd"):
            return self.output(tensor)
        if self.recipe.name == "mxfp4_moe":
            return "mxfp4" if self.is_expert(tensor, kind) else "q8_0"
        kind = FUSED.get(kind, kind)
        rule = self.file_type.rules.get(kind)
        name = (rule and rule(self.place(tensor, kind))) or base
        self.seen[kind] += 1
        return name if self.file_type.low_bit else self.protect_attention(kind, name)

    def place(self, tensor: Tensor, kind: str) -> Place:
        """Feed-forward tensors are placed among the layers: by number where there are experts, of which a layer has
        several tensors."""
        if kind == "attn_v":
            return Place(self.seen[kind], self.values, self.model, self.importance)
        by_layer = self.model.experts > 1 and not self.file_type.low_bit and kind.startswith("ffn")
        index = layer(tensor.name) if by_layer else self.seen[kind]
        return Place(index, self.model.layers, self.model, self.importance)

    def output(self, tensor: Tensor) -> str:
        """The output projection, or the embedding that serves as one."""
        base = self.recipe.base
        if self.recipe.name == "mxfp4_moe" or self.model.architecture == "falcon" or tensor.shape[-1] % base.block_size:
            return "q8_0"
        if self.recipe.name in CHEAP_OUTPUT:
            return "q5_k"
        return "q8_0" if base.name == "q8_0" else "q6_k"

    def is_expert(self, tensor: Tensor, kind: str) -> bool:
        stacked = len(tensor.shape) > 2 and tensor.shape[-3] > 1
        return stacked and (self.model.architecture != "bailingmoe3" or kind in ("ffn_up", "ffn_gate", "ffn_down"))

    def protect_attention(self, kind: str, name: str) -> str:
        """Keys and values are small in models of 8 experts, and values in those of the 70B class."""
        if self.model.experts == 8 and kind in ("attn_k", "attn_v"):
            return "q8_0"
        return "q5_k" if kind == "attn_v" and self.model.is_70b and name in ("q3_k", "q4_k") else name
