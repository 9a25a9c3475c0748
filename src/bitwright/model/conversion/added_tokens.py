"""Tokens that were added to a vocabulary, and which of them are control tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from bitwright.errors import FileFormatError
from bitwright.io.values import Values, described
from bitwright.model.tokenizer_build import SPACE
from bitwright.model.tokenizer_special import CONTROL, USER_DEFINED

# Control tokens that some files do not mark as such.
CONTROLS = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
ENDS = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))


class Token(NamedTuple):
    """A token's text, and its type by tokenizer.ggml.token_type."""

    text: str
    type: int


def added(text: str, special: bool) -> Token:
    """The added token of this text. llama.cpp looks for those of users in plain text, where a space is one."""
    control = special or text in CONTROLS or any(text.startswith(a) and text.endswith(b) for a, b in ENDS)
    return Token(text, CONTROL) if control else Token(text.replace(SPACE, " "), USER_DEFINED)


def added_tokens(tokenizer: Values, config: Values, size: int) -> dict[int, Token]:
    """The added tokens by id: those of tokenizer.json, then further ones of tokenizer_config.json."""
    rows = tokenizer.get("added_tokens") if tokenizer.has("added_tokens") else []
    if not isinstance(rows, list):
        raise tokenizer.error("added_tokens", "a list")
    found = _read(tokenizer, ((row.get("id") if isinstance(row, dict) else None, row) for row in rows), size)
    return {**decoder(config, size), **found}


def decoder(config: Values, size: int) -> dict[int, Token]:
    """The added tokens of tokenizer_config.json by id. One without a row in the embedding, as that of images in the
    smallest Gemma 3, is none of the model's."""
    rows = config.get("added_tokens_decoder") if config.has("added_tokens_decoder") else {}
    if not isinstance(rows, dict):
        raise config.error("added_tokens_decoder", "an object")
    numbered = [(int(id) if id.isascii() and id.isdecimal() else id, row) for id, row in rows.items()]
    return _read(config, ((id, row) for id, row in numbered if type(id) is not int or id < size), size)


def _read(values: Values, rows: Iterable[tuple[Any, Any]], size: int) -> dict[int, Token]:
    found = {}
    for id, row in rows:
        content, special = (row.get("content"), row.get("special", False)) if isinstance(row, dict) else (None, None)
        if type(id) is not int or not isinstance(content, str) or not content or not isinstance(special, bool):
            raise FileFormatError(values.place, None, "added tokens with an id, a content, special or not",
                                  f"{described(id)}: {described(content)}")  # fmt: skip
        if not 0 <= id < size:
            raise FileFormatError(values.place, None, f"ids of added tokens below {size} (vocab_size)", str(id))
        found[id] = added(content, special)
    return found
