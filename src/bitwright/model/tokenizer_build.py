"""Vocabularies of GGUF files as encoders of the `tokenizers` library.

Byte-level BPE files carry their merges. SentencePiece files carry scores: the encoder joins the adjacent pair whose
joined text has the best score, so every way to split a token into two is a merge, ranked by the token's score.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers

from bitwright import system
from bitwright.errors import BitwrightError
from bitwright.kernels.strings import Strings
from bitwright.model.pretokenizers import PreTokenizer
from bitwright.model.tokenizer_special import BYTE, CONTROL, UNKNOWN

BYTES_PER_TOKEN = 1500  # that building takes; the library aborts the process if it cannot allocate them
SPACE = "▁"  # how SentencePiece writes a space
SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(tokens: Strings) -> Strings:
    """The texts as the encoder can hold them: one that is empty or not UTF-8 (a lone surrogate) gets a made-up name."""
    if tokens.readable:
        return tokens
    usable = ["" if SURROGATE.search(text) else text for text in tokens.all()]
    return Strings.of([text or f"[UNUSABLE_{id}]" for id, text in enumerate(usable)])


def ids_of(tokens: Strings) -> dict[str, int]:
    """The id of each text, the last one where several have the same."""
    return {text: id for id, text in enumerate(tokens.all())}


def byte_level(vocabulary: dict[str, int], merges: Sequence[str], words: PreTokenizer) -> tokenizers.Tokenizer:
    """Byte-level BPE: `merges` are "left right", best first. Raises BitwrightError if one does not give a token."""
    encoder = tokenizers.Tokenizer(_bpe(vocabulary, _pairs(merges), ignore_merges=words.ignore_merges))
    encoder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in words.patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return encoder


def characters(vocabulary: dict[str, int], merges: Sequence[str], unknown: str | None) -> tokenizers.Tokenizer:
    """BPE of characters, of which spaces are written as SentencePiece does, with byte fallback. Raises BitwrightError
    if a merge does not give a token."""
    encoder = tokenizers.Tokenizer(_bpe(vocabulary, _pairs(merges), byte_fallback=True, unk_token=unknown))
    encoder.normalizer = normalizers.Replace(" ", SPACE)
    encoder.pre_tokenizer = pre_tokenizers.Split(Regex(space_pattern([*vocabulary])), "isolated")
    return encoder


class Pieces(NamedTuple):
    """A SentencePiece vocabulary: `scores` float32 (tokens,) and `types` int32 (tokens,) are as the file has them,
    `unknown` is the token of that type."""

    tokens: Strings
    scores: np.ndarray
    types: np.ndarray
    unknown: str | None
    space_prefix: bool


def sentencepiece(pieces: Pieces, ids: Sequence[int] | None = None) -> tokenizers.Tokenizer:
    """SentencePiece BPE with byte fallback, of all tokens or of those with these `ids`.

    Control, unknown and byte tokens are never merged: their text, typed by a user, is plain text.
    """
    tokens = pieces.tokens.all() if ids is None else [pieces.tokens[id] for id in ids]
    own = range(len(tokens)) if ids is None else ids
    mergeable = ~np.isin(pieces.types[own], (UNKNOWN, CONTROL, BYTE))
    merges = merges_from_scores(tokens, pieces.scores[own], mergeable)
    vocabulary = dict(zip(tokens, own, strict=True))
    encoder = tokenizers.Tokenizer(_bpe(vocabulary, merges, byte_fallback=True, unk_token=pieces.unknown))
    prefix = [normalizers.Prepend(SPACE)] if pieces.space_prefix else []
    encoder.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", SPACE)])
    encoder.pre_tokenizer = pre_tokenizers.Split(Regex(space_pattern(tokens)), "isolated")
    return encoder


def merges_from_scores(tokens: Sequence[str], scores: np.ndarray, mergeable: np.ndarray) -> list[tuple[str, str]]:
    """Every pair of mergeable tokens whose joined text is a mergeable token, best score first.

    At equal scores SentencePiece joins the leftmost pair first, so a run of spaces grows from its left end. Longer
    tokens first, with the longer left part first, gives the same. `scores` float32 and `mergeable` bool, (tokens,).
    """
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    order = np.lexsort((lengths, scores))  # worst first, because cuts are read backwards below
    order = order[mergeable[order]]
    tokens, lengths = [tokens[id] for id in order.tolist()], lengths[order]
    text, ends = "".join(tokens), np.cumsum(lengths)
    starts = ends - lengths
    owner = np.repeat(np.arange(len(tokens)), lengths)[::-1]
    cuts = np.arange(len(text))[::-1]
    owner, cuts = owner[cuts > starts[owner]], cuts[cuts > starts[owner]]
    hash_of = _substring_hashes(text)
    known = hash_of(starts, ends)
    left, right = _places(known, hash_of(starts[owner], cuts), hash_of(cuts, ends[owner]))
    return list(zip(map(tokens.__getitem__, left), map(tokens.__getitem__, right), strict=True))


def space_pattern(tokens: Sequence[str]) -> str:
    """Words that no merge can join: a space begins a new word, unless some token holds it after that character."""
    before = {
        match[0][0] for token in tokens if SPACE in token[1:] for match in re.finditer(f"[^{SPACE}]{SPACE}", token)
    }
    if not before:
        return rf"{SPACE}*[^{SPACE}]+|{SPACE}+"
    inside = "".join(rf"\x{{{ord(character):x}}}" for character in sorted(before))
    return rf"{SPACE}*(?:[^{SPACE}]+|(?<=[{inside}]){SPACE}+)+|{SPACE}+"


def _substring_hashes(text: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function of (first, last), int64 (n,), giving the hashes of text[first:last], uint64 (n,).

    The hash is Σ scramble(code point) · b^(index in the substring) modulo 2^64: a difference of two prefix sums of the
    whole text, times a power of 1/b.
    """
    base = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
    points = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64) + np.uint64(1)
    points = (points ^ (points << np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    points = (points ^ (points >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
    power, inverse = (_powers(number, len(text) + 1) for number in (base, pow(base, -1, 1 << 64)))
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(points * power[:-1])))
    return lambda first, last: (sums[last] - sums[first]) * inverse[first]


def _places(known: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[list[int], list[int]]:
    """The indices in `known` of left[i] and right[i], for every i with both in it. All uint64.

    A table of the top bits rejects nearly all others first, because a binary search costs twenty cache misses.
    """
    table, shift = np.zeros(1 << 24, bool), np.uint64(64 - 24)
    table[known >> shift] = True
    possible = table[left >> shift] & table[right >> shift]
    left, right = left[possible], right[possible]
    order = np.argsort(known)
    ordered = known[order]
    left_at, right_at = (np.minimum(np.searchsorted(ordered, part), len(known) - 1) for part in (left, right))
    both = (ordered[left_at] == left) & (ordered[right_at] == right)
    return order[left_at[both]].tolist(), order[right_at[both]].tolist()


def _powers(number: int, count: int) -> np.ndarray:
    """number^0 … number^(count - 1) modulo 2^64: uint64 (count,)."""
    factors = np.full(count, number, np.uint64)
    factors[:1] = 1
    return np.multiply.accumulate(factors)


def _pairs(merges: Sequence[str]) -> list[tuple[str, str]]:
    """Merges "left right" as pairs."""
    return [(merge[:at], merge[at + 1 :]) for merge in merges if (at := merge.find(" ", 1)) > 0]


def _bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]], **options: Any) -> models.BPE:
    if not system.has_room(BYTES_PER_TOKEN * len(vocabulary)):
        raise BitwrightError(f"not enough memory for a tokenizer of {len(vocabulary)} tokens")
    with guarded():
        return models.BPE(vocabulary, merges, **options)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Turns what the library raises, a panic of its Rust code included, into BitwrightError."""
    try:
        yield
    except BitwrightError:
        raise
    except BaseException as error:
        # A panic is a BaseException of a class that cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        detail = " ".join(f"{error}".split())[:200]
        raise BitwrightError(f"the file's tokenizer is broken: {detail}") from error
