"""The encoder that a file carries complete, in the form of the `tokenizers` library (tokenizer.json).

It comes from strangers and the library trusts it: a bad value aborts the process, and a regular expression can run for
ever. So only components, fields and patterns listed here are read, and the encoder is built from those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from bitwright.errors import BitwrightError, UnsupportedError
from bitwright.model import pretokenizers
from bitwright.model import tokenizer_json_checks as check
from bitwright.model.tokenizer_json_checks import KEY, Field, Fields

MOST_COMPONENTS = 16  # normalizers, or pre-tokenizers
SPARE, LONGEST_PER_TOKEN = 1 << 20, 512  # characters of the whole: Gemma 3 has 126 per token
SECTIONS = (  # only the first four decide ids; texts are cut, padded, framed and decoded by bitwright
    *("model", "normalizer", "pre_tokenizer", "added_tokens"),
    *("version", "truncation", "padding", "post_processor", "decoder"),
)
BEHAVIORS = {
    "Removed": "removed",
    "Isolated": "isolated",
    "MergedWithPrevious": "merged_with_previous",
    "MergedWithNext": "merged_with_next",
    "Contiguous": "contiguous",
}


def build(text: str, tokens: int) -> tokenizers.Tokenizer:
    """The encoder described by `text`, whose ids are all below `tokens`.

    Raises UnsupportedError for a component or pattern that bitwright does not know, BitwrightError for a broken file.
    """
    longest = SPARE + LONGEST_PER_TOKEN * tokens
    if len(text) > longest:
        check.broken("", f"a text of at most {longest:,} characters", f"{len(text):,}")
    try:
        sections = check.object_("", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise BitwrightError(f"the file's {KEY} is broken: {error}") from error
    check.known("section", sections, SECTIONS)
    encoder = tokenizers.Tokenizer(_model(sections.get("model"), tokens))
    if normal := _components("normalizer", sections.get("normalizer")):
        encoder.normalizer = normalizers.Sequence(normal)
    if words := _components("pre_tokenizer", sections.get("pre_tokenizer")):
        encoder.pre_tokenizer = pre_tokenizers.Sequence(words)
    _add_tokens(encoder, sections.get("added_tokens") or [], tokens)
    return encoder


def _literal(where: str, value: Any) -> str:
    """`{"String": text}`."""
    check.known("pattern", check.object_(where, value), ("String",))
    return check.text(where, value.get("String"))


def _pattern(where: str, value: Any) -> str | Regex:
    """`{"String": text}`, or `{"Regex": pattern}` with a pattern of a published tokenizer."""
    if "Regex" not in check.object_(where, value):
        return _literal(where, value)
    check.known("pattern", value, ("Regex",))
    pattern = pretokenizers.published(value["Regex"])
    if pattern is None:
        found = repr(value["Regex"])[:60]
        raise UnsupportedError(f"{KEY}: regular expression", found, ("those of published models",))
    return Regex(pattern)


def _replace(pattern: str, content: str) -> normalizers.Replace:
    if len(content) > len(pattern):  # a chain of these could grow a text without limit
        check.broken("normalizer Replace", f"content no longer than its pattern, {pattern!r}", content)
    return normalizers.Replace(pattern, content)


def _metaspace(replacement: str, add_prefix_space: bool, prepend_scheme: str, split: bool) -> pre_tokenizers.Metaspace:
    scheme = prepend_scheme or ("always" if add_prefix_space else "never")
    return pre_tokenizers.Metaspace(replacement, scheme, split)


_BEHAVIOR = check.choice(BEHAVIORS)
_SCHEME = check.choice({scheme: scheme for scheme in ("always", "never", "first")})
# By role and type: what makes the component, and the fields it takes.
COMPONENTS: dict[str, dict[str, tuple[Callable[..., Any], Fields]]] = {
    "normalizer": {
        **{name: (getattr(normalizers, name), {}) for name in ("NFC", "NFD", "NFKC", "NFKD")},
        **{name: (getattr(normalizers, name), {}) for name in ("Lowercase", "StripAccents")},
        "Prepend": (normalizers.Prepend, {"prepend": Field(check.text)}),
        "Replace": (_replace, {"pattern": Field(_literal), "content": Field(check.text)}),
    },
    "pre_tokenizer": {
        **{name: (getattr(pre_tokenizers, name), {}) for name in ("Whitespace", "WhitespaceSplit")},
        "ByteLevel": (
            pre_tokenizers.ByteLevel,
            {
                "add_prefix_space": Field(check.flag, True),
                "trim_offsets": Field(check.flag, True),
                "use_regex": Field(check.flag, True),
            },
        ),
        "Digits": (pre_tokenizers.Digits, {"individual_digits": Field(check.flag)}),
        "Metaspace": (
            _metaspace,
            {
                "replacement": Field(check.character),
                "add_prefix_space": Field(check.flag, True),
                "prepend_scheme": Field(_SCHEME, ""),
                "split": Field(check.flag, True),
            },
        ),
        "Punctuation": (pre_tokenizers.Punctuation, {"behavior": Field(_BEHAVIOR, "isolated")}),
        "Split": (
            pre_tokenizers.Split,
            {"pattern": Field(_pattern), "behavior": Field(_BEHAVIOR), "invert": Field(check.flag, False)},
        ),
    },
}
_LISTS = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}  # the field of a Sequence that holds its parts
_FLAG, _UNSET = Field(check.flag, False), Field(check.nothing, None)
_MODEL: Fields = {
    **dict.fromkeys(("dropout", "continuing_subword_prefix", "end_of_word_suffix"), _UNSET),
    **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), _FLAG),
}
_ADDED: Fields = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), _FLAG)


def _components(role: str, value: Any) -> list[Any]:
    """The components of one role, with a Sequence unfolded."""
    waiting, made, byte_level = [value] if value is not None else [], [], 0
    while waiting:
        component = check.object_(role, waiting.pop(0))
        kind = component.get("type", "")
        if kind == "Sequence":
            check.known(f"field of {role} Sequence", component, ("type", _LISTS[role]))
            waiting = check.list_(f"{role} Sequence", component.get(_LISTS[role])) + waiting
        else:
            check.known(role, [kind], COMPONENTS[role])
            make, fields = COMPONENTS[role][kind]
            made.append(make(**check.checked(f"{role} {kind}", component, fields, ("type",))))
            byte_level += kind == "ByteLevel"
        if len(made) + len(waiting) > MOST_COMPONENTS or byte_level > 1:
            check.broken(role, f"at most {MOST_COMPONENTS} components, one of them ByteLevel", len(made) + len(waiting))
    return made


def _model(value: Any, tokens: int) -> models.BPE:
    model = check.object_("model", value)
    check.known("model", [model.get("type", "BPE")], ("BPE",))
    options = check.checked("model BPE", model, _MODEL, ("type", "unk_token", "vocab", "merges"))
    vocabulary = check.object_("model.vocab", model.get("vocab"))
    for text, id in vocabulary.items():
        check.id_(f"model.vocab of {text[:60]!r}", id, tokens)
    if len(set(vocabulary.values())) < len(vocabulary):
        check.broken("model.vocab", "one text for each id", "two")
    unknown = model.get("unk_token")
    if unknown is not None and (not isinstance(unknown, str) or unknown not in vocabulary):
        check.broken("model.unk_token", "a text of model.vocab", unknown)
    merges = [_merge(merge, vocabulary) for merge in check.list_("model.merges", model.get("merges"))]
    plain = {name: option for name, option in options.items() if isinstance(option, bool)}
    return models.BPE(vocabulary, merges, unk_token=unknown, **plain)


def _merge(value: Any, vocabulary: Mapping[str, int]) -> tuple[str, str]:
    parts = value.split(" ") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        check.broken("model.merges", "two texts", value)
    left, right = parts
    if not all(part in vocabulary for part in (left, right, left + right)):
        check.broken("model.merges", "two tokens that join to a token", value)
    return left, right


def _add_tokens(encoder: tokenizers.Tokenizer, value: Any, tokens: int) -> None:
    added = {}
    for row in check.list_("added_tokens", value):
        content = check.object_("added_tokens", row).get("content")
        if not isinstance(content, str) or not content:
            check.broken("added_tokens", "a content", content)
        added[check.id_(f"added_tokens of {content[:60]!r}", row.get("id"), tokens)] = content, row
    made = [
        AddedToken(content, **check.checked("added_tokens", row, _ADDED, ("id", "content")))
        for _, (content, row) in sorted(added.items())
    ]
    encoder.add_tokens(made)
    for id, (content, _) in added.items():
        if (found := encoder.token_to_id(content)) != id:
            check.broken(f"added_tokens of {content[:60]!r}", f"id {found}, as in the vocabulary or next after it", id)
