"""Vocabularies of GGUF files as encoders of the `tokenizers` library.

Byte-level BPE files carry their merges. SentencePiece files carry scores: the encoder joins the adjacent pair whose
joined text has the best score, so every way to cut a token into two tokens is a merge, ranked by the token's score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from bitwright.errors import BitwrightError
from bitwright.model.pretokenizers import PreTokenizer
from bitwright.model.tokenizer_special import BYTE, CONTROL, UNKNOWN, USER_DEFINED

SPACE = "▁"  # how SentencePiece writes a space


def byte_level(vocabulary: dict[str, int], merges: Sequence[str], words: PreTokenizer) -> tokenizers.Tokenizer:
    """Byte-level BPE: `merges` are "left right", best first. Raises BitwrightError where one names no token."""
    pairs = [(merge[:at], merge[at + 1 :]) for merge in merges if (at := merge.find(" ", 1)) > 0]
    encoder = tokenizers.Tokenizer(_bpe(vocabulary, pairs, ignore_merges=words.ignore_merges))
    encoder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in words.patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return encoder


def sentencepiece(
    tokens: Sequence[str],
    vocabulary: dict[str, int],
    scores: np.ndarray,
    types: np.ndarray,
    unknown: str | None,
    space_prefix: bool,
) -> tokenizers.Tokenizer:
    """SentencePiece BPE with byte fallback. `scores` float32 (tokens,), `types` int32 (tokens,) as the file has them.

    Control, unknown and byte tokens take no part in merging: their text, typed by a user, is only text.
    """
    merges = merges_from_scores(tokens, scores, ~np.isin(types, (UNKNOWN, CONTROL, BYTE)))
    encoder = tokenizers.Tokenizer(_bpe(vocabulary, merges, byte_fallback=True, unk_token=unknown))
    prefix = [normalizers.Prepend(SPACE)] if space_prefix else []
    encoder.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", SPACE)])
    encoder.pre_tokenizer = pre_tokenizers.Split(Regex(space_pattern(tokens)), "isolated")
    return encoder


def add_tokens(encoder: tokenizers.Tokenizer, tokens: Sequence[str], types: np.ndarray) -> None:
    """Control and user-defined tokens are found in the text before anything else looks at it."""
    chosen = np.flatnonzero(np.isin(types, (UNKNOWN, CONTROL, USER_DEFINED)))
    encoder.add_tokens(
        [AddedToken(tokens[i], normalized=False, special=bool(types[i] != USER_DEFINED)) for i in chosen.tolist()]
    )


def merges_from_scores(tokens: Sequence[str], scores: np.ndarray, mergeable: np.ndarray) -> list[tuple[str, str]]:
    """Every pair of mergeable tokens whose joined text is a mergeable token, best score first.

    At equal scores SentencePiece joins the leftmost pair first, so a run of spaces grows from its left end. Longer
    tokens first, with the longer left part first, gives the same. Texts are compared by a 64-bit hash: each code point
    is scrambled, and the hash of a substring is a difference of prefix sums.
    """
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    order = np.lexsort((lengths, scores))[::-1]
    order = order[mergeable[order] & (lengths[order] > 0)]
    tokens, lengths = [tokens[i] for i in order.tolist()], lengths[order]
    text = "".join(tokens)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    sums, inverse = _prefix_sums(points)
    known = np.sort((sums[ends] - sums[starts]) * inverse[starts])

    middles = np.arange(len(points))  # where a token may be cut: everywhere but at its start
    owner = np.repeat(np.arange(len(tokens)), lengths)
    middles, owner = (values[middles != starts[owner]] for values in (middles, owner))
    for part in ("left", "right"):
        first = starts[owner] if part == "left" else middles
        last = middles if part == "left" else ends[owner]
        hashes = (sums[last] - sums[first]) * inverse[first]
        found = known[np.searchsorted(known, hashes) % len(known)] == hashes
        middles, owner = middles[found], owner[found]
    order = np.lexsort((-middles, owner))
    cuts = zip(starts[owner][order].tolist(), middles[order].tolist(), ends[owner][order].tolist(), strict=True)
    return [(text[start:middle], text[middle:end]) for start, middle, end in cuts]


def space_pattern(tokens: Sequence[str]) -> str:
    """Words that no merge can join: a space begins a new word, unless some token holds it after that character."""
    before = {
        match[0][0] for token in tokens if SPACE in token[1:] for match in re.finditer(f"[^{SPACE}]{SPACE}", token)
    }
    if not before:
        return rf"{SPACE}*[^{SPACE}]+|{SPACE}+"
    inside = "".join(rf"\x{{{ord(character):x}}}" for character in sorted(before))
    return rf"{SPACE}*(?:[^{SPACE}]+|(?<=[{inside}]){SPACE}+)+|{SPACE}+"


def _prefix_sums(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ scramble(point) · b^position mod 2^64 before each position, (n + 1,), and b^-position, (n + 1,)."""
    base = 0x9E3779B97F4A7C15  # odd, hence invertible modulo 2^64
    with np.errstate(over="ignore"):
        mixed = (points.astype(np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(29)
        powers = np.full((2, len(points) + 1), np.uint64(1))
        powers[:, 1:] = np.array([[base], [pow(base, -1, 1 << 64)]], np.uint64)
        powers = np.multiply.accumulate(powers, axis=1)
        sums = np.zeros(len(points) + 1, np.uint64)
        np.cumsum(mixed * powers[0, :-1], out=sums[1:])
    return sums, powers[1]


def _bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]], **options: Any) -> models.BPE:
    try:
        return models.BPE(vocabulary, merges, **options)
    except Exception as error:  # the library raises plain Exception, with the merge's text
        raise BitwrightError(f"the file's tokenizer is broken: {error}") from error


def from_json(metadata: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """The encoder that the file carries whole in tokenizer.huggingface.json."""
    try:
        encoder = tokenizers.Tokenizer.from_str(metadata["tokenizer.huggingface.json"])
    except Exception as error:
        raise BitwrightError(f"the file's tokenizer.huggingface.json is broken: {error}") from error
    encoder.no_truncation()
    encoder.no_padding()
    return encoder
