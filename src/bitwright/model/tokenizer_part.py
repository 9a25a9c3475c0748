"""Encoders made for a text, of only those tokens and merges that can occur in it.

Taking in a whole vocabulary was a quarter of the time before the first token of an answer. A merge joins two
neighbours, so what it gives is a part of the text: all other tokens change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bitwright.model import tokenizer_build as build
from bitwright.model.tokenizer_build import SPACE, Pieces
from bitwright.model.tokenizer_special import BYTE

if TYPE_CHECKING:
    import tokenizers

    from bitwright.model.pretokenizers import PreTokenizer

LONGEST = 1000  # characters of the texts that an encoder is made for
MOST = 8  # encoders that are made; as many take as long as the whole
MOST_PIECES = 1 << 18  # that a text is cut into to find its tokens

Part = Callable[[str], "tokenizers.Tokenizer | None"]


class Encoder:
    """Gives the ids that the `whole` encoder gives, which is built for a long text, or once several short ones came.

    `part` makes the encoder for a short text; None if that would differ from the whole, or take long.
    """

    def __init__(self, whole: Callable[[], tokenizers.Tokenizer], part: Part) -> None:
        self._build, self._part, self._parts = whole, part, 0
        self._whole: tokenizers.Tokenizer | None = None

    def encode_batch_fast(self, texts: Sequence[str], add_special_tokens: bool) -> list[tokenizers.Encoding]:
        """As the library's method. Raises what building raises."""
        return self._for(texts).encode_batch_fast(texts, add_special_tokens=add_special_tokens)

    def _for(self, texts: Sequence[str]) -> tokenizers.Tokenizer:
        if self._whole is None and self._parts < MOST and sum(map(len, texts)) + len(texts) <= LONGEST:
            self._parts += 1
            if (part := self._part(" ".join(texts))) is not None:
                return part
        if self._whole is None:
            self._whole = self._build()
        return self._whole


def byte_level(
    vocabulary: Mapping[str, int], merges: Sequence[str], words: PreTokenizer, byte_of: Mapping[str, int]
) -> Part:
    """Makes encoders of byte-level BPE. `byte_of`: the characters that stand for bytes; the rest is
    tokenizer_build's."""
    longest = max(map(len, vocabulary))
    character_of = {byte: character for character, byte in byte_of.items()}

    def part(text: str) -> tokenizers.Tokenizer | None:
        written = "".join(map(character_of.__getitem__, text.encode()))
        if len(written) * longest > MOST_PIECES or not all(character in vocabulary for character in written):
            return None  # what has no token is left out, and its neighbours become neighbours of each other
        found = inside(written, vocabulary, longest)
        return build.byte_level({token: vocabulary[token] for token in found}, _among(found, merges), words)

    return part


def characters(vocabulary: Mapping[str, int], merges: Sequence[str], unknown: str | None) -> Part:
    """Makes encoders of BPE of characters."""
    longest = max(map(len, vocabulary))

    def part(text: str) -> tokenizers.Tokenizer | None:
        written = text.replace(" ", SPACE)
        if len(written) * longest > MOST_PIECES or not all(character in vocabulary for character in written):
            return None
        found = inside(written, vocabulary, longest)
        always = {unknown: vocabulary[unknown]} if unknown is not None else {}
        return build.characters({token: vocabulary[token] for token in found} | always, _among(found, merges), unknown)

    return part


def sentencepiece(whole: Pieces) -> Part:
    """Makes encoders of SentencePiece BPE."""
    tokens, vocabulary, unknown = whole.tokens, whole.vocabulary, whole.unknown
    longest = max(map(len, vocabulary))
    always = {f"<0x{byte:02X}>" for byte in range(256)} | {unknown}

    def part(text: str) -> tokenizers.Tokenizer | None:
        written = SPACE + text.replace(" ", SPACE)
        if len(written) * longest > MOST_PIECES:
            return None
        found = inside(written, vocabulary, longest)
        ids = [id for id, token in enumerate(tokens) if token in found or token in always]
        if not all(character in vocabulary for character in written):
            stand_ins = [id for id in ids if tokens[id] in always and tokens[id] != unknown]
            if len(stand_ins) != 256 or np.any(whole.types[stand_ins] != BYTE):
                return None  # what stands for a character may merge with its neighbours
        own = [tokens[id] for id in ids]
        numbers = {token: vocabulary[token] for token in own}
        return build.sentencepiece(
            whole._replace(tokens=own, vocabulary=numbers, scores=whole.scores[ids], types=whole.types[ids])
        )

    return part


def _among(found: Collection[str], merges: Sequence[str]) -> list[str]:
    """The merges of two of these tokens to another."""
    joined = {f"{token[:at]} {token[at:]}" for token in found for at in cuts(token, found)}
    return [merge for merge in merges if merge in joined]


def inside(text: str, vocabulary: Collection[str], longest: int) -> set[str]:
    """The tokens, of at most `longest` characters, that `text` contains."""
    ends = [min(start + longest, len(text)) for start in range(len(text))]
    return {
        piece
        for start, last in enumerate(ends)
        for end in range(start + 1, last + 1)
        if (piece := text[start:end]) in vocabulary
    }


def cuts(token: str, known: Collection[str]) -> list[int]:
    """The places where a token can be cut into two known ones."""
    return [at for at in range(1, len(token)) if token[:at] in known and token[at:] in known]
