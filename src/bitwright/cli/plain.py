"""Arguments that need no library to be read. `bitwright run` with these alone imports no typer, which took a tenth of
the time before the first token. Whatever is not plain is left to typer, which also says what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

PLAIN: dict[type, str] = {str: "(?s:.*)", int: "-?[0-9]{1,9}", float: r"-?[0-9]{1,9}(\.[0-9]{1,9})?"}


class Kind(NamedTuple):
    """A type of PLAIN, and the least and the most that a number may be."""

    type: Any
    least: float | None = None
    most: float | None = None

    def read(self, text: str) -> Any:
        """The value that `text` is; None if it is not plain or out of bounds."""
        if re.fullmatch(PLAIN[self.type], text):
            value = self.type(text)
            if (self.least is None or value >= self.least) and (self.most is None or value <= self.most):
                return value
        return None


# Of `run`: what precedes a value, with the parameter and its kind; what stands alone; and what has no name.
OPTIONS = {
    **dict.fromkeys(("-p", "--prompt"), ("option", Kind(str))),
    "--system": ("system", Kind(str)),
    "--temp": ("temperature", Kind(float, 0)),
    "--top-k": ("top_k", Kind(int, 0)),
    "--top-p": ("top_p", Kind(float, 0, 1)),
    "--min-p": ("min_p", Kind(float, 0, 1)),
    "--seed": ("seed", Kind(int, 0)),
    **dict.fromkeys(("-n", "--predict"), ("count", Kind(int, 1))),
    **dict.fromkeys(("-t", "--threads"), ("threads", Kind(int, 1))),
    "--kv": ("kv", Kind(str)),
}
FLAGS = {"--raw": "raw", "--plain": "plain", "--json": "json", "--cache-packed": "cache_packed"}
NAMELESS = ("model", "prompt")


def asked(arguments: Sequence[str]) -> dict[str, Any] | None:
    """The parameters of `bitwright run ...`, those that are given; None if typer must read them."""
    if not arguments or arguments[0] != "run" or "_BITWRIGHT_COMPLETE" in os.environ:  # a shell completes the line
        return None
    found: dict[str, Any] = {}
    nameless, rest = iter(NAMELESS), iter(arguments[1:])
    for word in rest:
        if word in OPTIONS:
            name, kind = OPTIONS[word]
            text = next(rest, "-")
            value = None if text.startswith("-") else kind.read(text)
        elif word in FLAGS:
            name, value = FLAGS[word], True
        else:
            name, value = next(nameless, ""), None if word.startswith("-") else word
        if value is None or not name or name in found:
            return None
        found[name] = value
    return found if "model" in found else None
