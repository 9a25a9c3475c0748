"""Byte-level BPE from tokenizer.json (the `tokenizers` library's form)."""

from __future__ import annotations

from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.io.gguf import Typed
from bitwright.io.values import Values, described
from bitwright.model import pretokenizers
from bitwright.model.conversion.added_tokens import Token, added_tokens
from bitwright.model.conversion.components import components
from bitwright.model.tokenizer_special import NORMAL, UNUSED

ADD_BOS = {name for name, words in pretokenizers.PRE_TOKENIZERS.items() if words.add_bos}
# Fields of the model that change ids, with the values that llama.cpp takes for granted.
EXPECTED: dict[str, tuple[object, ...]] = {
    "type": ("BPE",),
    "dropout": (0, 0.0),
    "continuing_subword_prefix": ("",),
    "end_of_word_suffix": ("",),
}
NORMALIZERS = ("NFC",)  # which llama.cpp leaves out: ids differ for texts in other forms


def vocabulary(tokenizer: Values, size: int, config: Values, pre: str = "") -> dict[str, Typed]:
    """Tokens, types, merges and pre-tokenizer, by GGUF's keys without tokenizer.ggml. An id that no token has is
    unused. pre: the name of the pre-tokenizer, of those that mean the same."""
    model = tokenizer.inner("model")
    if model.get("byte_fallback") is True:
        what = f"{tokenizer.place}: {model.name('byte_fallback')} of"
        raise UnsupportedError(what, model.found("byte_fallback"), ["tokenizer.model, from which it was made"])
    check_model(tokenizer, model)
    _check_normalizer(tokenizer)
    pre = _pre(tokenizer, model.flag("ignore_merges", False), pre)
    rows = rows_of(tokenizer, model, size)
    for id, token in added_tokens(tokenizer, config, size).items():
        if rows.setdefault(id, token).text != token.text:
            raise FileFormatError(tokenizer.place, None, f"one token of id {id}", f"{rows[id].text!r}, {token.text!r}")
        rows[id] = token
    listed = [rows.get(id, Token(f"[PAD{id}]", UNUSED)) for id in range(size)]
    return {
        "model": Typed("gpt2", "string"),
        "pre": Typed(pre, "string"),
        "tokens": Typed([token.text for token in listed], "array[string]"),
        "token_type": Typed([token.type for token in listed], "array[int32]"),
        "merges": Typed(merges_of(tokenizer, model), "array[string]"),
    }


def check_model(tokenizer: Values, model: Values) -> None:
    """UnsupportedError for a field of the model that llama.cpp takes for granted to be another."""
    for key, allowed in EXPECTED.items():
        if model.has(key) and model.get(key) not in allowed:
            raise UnsupportedError(f"{tokenizer.place}: {model.name(key)} of", model.found(key), [repr(allowed[0])])


def rows_of(tokenizer: Values, model: Values, size: int) -> dict[int, Token]:
    """The tokens of the model by id."""
    texts = model.get("vocab")
    if not isinstance(texts, dict):
        raise model.error("vocab", "an object of tokens and ids")
    rows: dict[int, Token] = {}
    for text, id in texts.items():
        if type(id) is not int or not 0 <= id < size or id in rows:
            expected = f"an id below {size} (vocab_size) that no other token has for {text[:60]!r}"
            raise FileFormatError(tokenizer.place, None, expected, described(id))
        rows[id] = Token(text, NORMAL)
    return rows


def merges_of(tokenizer: Values, model: Values) -> list[str]:
    """The merges as "left right", best first."""
    found, merges = [], model.get("merges")
    if not isinstance(merges, list):
        raise model.error("merges", "a list")
    for merge in merges:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        texts = isinstance(parts, list) and all(isinstance(part, str) and " " not in part for part in parts)
        if not texts or len(parts) != 2:
            raise FileFormatError(tokenizer.place, None, "a merge of two tokens without spaces", described(merge))
        found.append(" ".join(parts))
    return found


def _check_normalizer(tokenizer: Values) -> None:
    for component in components(tokenizer, "normalizer", "normalizers"):
        if (kind := component.text("type")) not in NORMALIZERS:
            raise UnsupportedError(f"{tokenizer.place}: normalizer", kind, NORMALIZERS)


def _pre(tokenizer: Values, ignore_merges: bool, usual: str) -> str:
    """The name of the pre-tokenizer that does what the file's does: `usual`, or the first."""
    patterns, byte_level = list[str](), False
    for component in components(tokenizer, "pre_tokenizer", "pretokenizers"):
        kind = component.text("type")
        if byte_level:
            raise UnsupportedError(f"{tokenizer.place}: pre-tokenizer after ByteLevel", kind, ["none"])
        if kind == "ByteLevel" and not component.flag("add_prefix_space", True):
            byte_level = True
            patterns += [pretokenizers.GPT2] if component.flag("use_regex", True) else []
        elif kind == "Digits":
            patterns.append(r"\p{N}" if component.flag("individual_digits", False) else r"\p{N}+")
        elif kind == "Split" and component.text("behavior") == "Isolated" and not component.flag("invert", False):
            patterns.append(component.inner("pattern").text("Regex", ""))
        else:
            what = ["Split, isolated", "Digits", "ByteLevel without a space in front"]
            raise UnsupportedError(f"{tokenizer.place}: pre-tokenizer", kind, what)
    if not byte_level:
        raise UnsupportedError(f"{tokenizer.place}: a pre-tokenizer without", "ByteLevel", ["byte-level BPE"])
    if (name := pretokenizers.recognised(patterns, ignore_merges, usual)) is None:
        how = f"{tokenizer.place}: splitting words{' and ignoring merges' * ignore_merges} by"
        raise UnsupportedError(how, " then ".join(patterns), ["the patterns of llama.cpp's pre-tokenizers"])
    return name
