"""Names as people type them: "3090", "M1 Max" or "RTX 4060 Ti" for a device, "Llama3.1:8B" for a shape."""

from __future__ import annotations

import difflib
import os.path
import re
from collections.abc import Iterable, Mapping

FILLER = frozenset(("nvidia", "geforce", "amd", "radeon", "instinct", "intel", "apple", "qualcomm", "gpu"))
TALK = frozenset(("instruct", "chat", "it", "gguf", "hf", "meta"))  # what names of models carry beside the shape
SIZES = re.compile(r"( (\d+ (gb|gib|c|core)|sxm\d?|pcie|hgx|plus|blackwell))+$")  # what names of one product differ in
LONGEST = 64  # characters of a name that are compared
KNOWN_BY = re.compile(r"(?=.*[a-z].*\d).|.{3}")  # what can stand for a product without beginning its name: t4, 3090


def words(text: str) -> list[str]:
    """RTX3090-24GB -> rtx, 3090, 24, gb; without words that say nothing, if others are left."""
    spaced = re.sub(r"\b([rg]tx|rx)(?=\d)", r"\1 ", text.lower())
    found = re.findall(r"[a-z]*\d+(?:\.\d+)?|[a-z]+", spaced)
    return [word for word in found if word not in FILLER] or found


def product(name: str) -> list[str]:
    """The words of a name without its sizes: rtx, 3090."""
    return SIZES.sub("", " " + " ".join(words(name))).split()


def products(text: str, known: Mapping[str, Iterable[str]]) -> list[str]:
    """The ids in `known` that `text` names, by any of each one's names: one, or several that differ only in sizes.

    The text must reach to the end of a product's name, so "5070" is not the 5070 Ti, and "M1" not the M1 Max.
    """
    asked, found = words(text), dict[str, list[str]]()
    for id, names in known.items():
        for name in (id, *names):
            whole, own = words(name), product(name)
            starts = (i for i in range(len(own)) if whole[i : i + len(asked)] == asked and i + len(asked) >= len(own))
            if any(i == 0 or KNOWN_BY.match("".join(asked)) for i in starts):
                found.setdefault(id, own)
    return list(found) if len({tuple(own) for own in found.values()}) == 1 else []


def without_memory(text: str) -> tuple[str, int]:
    """ "M4 Max 64GB" -> "M4 Max" and its bytes, in powers of two as memory comes; the text and 0 without a size."""
    found = re.fullmatch(r"(.*?)[\s-]*\b(\d{1,4})\s*gi?b", text.strip().lower())
    return (found[1], int(found[2]) << 30) if found else (text, 0)


def compact(text: str) -> str:
    """Llama3.1:8B-Instruct -> llama3.18b."""
    return "".join(word for word in words(text) if word not in TALK)


def nearest(text: str, known: Mapping[str, Iterable[str]], count: int = 3) -> list[str]:
    """The ids with the names most like `text`, the most like it first."""
    asked = compact(text[:LONGEST])

    def likeness(id: str) -> tuple[float, int]:
        own = (form for name in (id, *known[id]) for form in (name, " ".join(product(name)), *product(name)[-2:]))
        forms = {compact(form) for form in own}
        return max(
            (difflib.SequenceMatcher(None, asked, form).ratio(), len(os.path.commonprefix([asked, form])))  # noqa: RUF071
            for form in forms
        )

    return sorted(known, key=likeness, reverse=True)[:count]
