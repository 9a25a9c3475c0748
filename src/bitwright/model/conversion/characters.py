"""BPE of characters from tokenizer.json: spaces are written as SentencePiece does, and what has no token is bytes.

Types of tokens: LlamaHfVocab in llama.cpp's gguf-py/gguf/vocab.py, and Gemma4Model in its conversion/gemma.py.
"""

from __future__ import annotations

import re

from bitwright.errors import UnsupportedError
from bitwright.io.gguf import Typed
from bitwright.io.values import Values
from bitwright.model.conversion.added_tokens import added_tokens
from bitwright.model.conversion.byte_level import check_model, merges_of, rows_of
from bitwright.model.conversion.components import components
from bitwright.model.conversion.special_tokens import ROLES, text_of
from bitwright.model.tokenizer_build import SPACE
from bitwright.model.tokenizer_special import BYTE, CONTROL, NORMAL, UNUSED, USER_DEFINED

SCORE = -1000.0  # which the converter gives to every token
VISIBLE = {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>'}
BYTE_TOKEN = re.compile("<0x[0-9A-Fa-f]{2}>")


def vocabulary(tokenizer: Values, size: int, config: Values) -> dict[str, Typed]:
    """Tokens, scores, types and merges, by GGUF's keys without tokenizer.ggml. An id that no token has is unused."""
    model = tokenizer.inner("model")
    check_model(tokenizer, model)
    if not model.flag("byte_fallback", False):
        raise UnsupportedError(f"{tokenizer.place}: {model.name('byte_fallback')} of", "false", ["true"])
    _check_spaces(tokenizer)
    rows, added = rows_of(tokenizer, model, size), added_tokens(tokenizer, config, size)
    special = {text_of(config, role) for role in ROLES}
    special |= {token.text for token in added.values() if token.type == CONTROL}
    texts, types = [f"[PAD{id}]" for id in range(size)], [UNUSED] * size
    for id in sorted({*rows, *added}):
        text = rows[id].text if id in rows else added[id].text
        texts[id], types[id] = text, _type(text, id in rows, text in special)
    return {
        "model": Typed("gemma4", "string"),
        "tokens": Typed(texts, "array[string]"),
        "scores": Typed([SCORE] * size, "array[float32]"),
        "token_type": Typed(types, "array[int32]"),
        "merges": Typed(merges_of(tokenizer, model), "array[string]"),
        "add_space_prefix": Typed(False, "bool"),
    }


def _type(text: str, is_own: bool, special: bool) -> int:
    """is_own: the token is one of the model, and not only added to it."""
    if text in VISIBLE:  # shown to whoever reads a call of a tool
        return USER_DEFINED
    if BYTE_TOKEN.fullmatch(text):
        return BYTE
    return CONTROL if special else NORMAL if is_own else USER_DEFINED


def _check_spaces(tokenizer: Values) -> None:
    """UnsupportedError unless texts are changed by writing spaces as SentencePiece does, and not cut."""
    place = tokenizer.place
    normalizers = [*components(tokenizer, "normalizer", "normalizers")]
    replaced = [(n.text("type"), n.inner("pattern").text("String", ""), n.text("content", "")) for n in normalizers]
    if replaced != [("Replace", " ", SPACE)]:
        raise UnsupportedError(f"{place}: normalizers", f"{replaced}", [f"Replace of spaces by {SPACE}"])
    for component in components(tokenizer, "pre_tokenizer", "pretokenizers"):
        if (component.text("type"), component.inner("pattern").get("String")) != ("Split", " "):  # there are none left
            raise UnsupportedError(f"{place}: pre-tokenizer", component.text("type"), ["Split at spaces", "none"])
