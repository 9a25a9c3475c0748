"""Encoders made for a text, of only those tokens and merges that can occur in it.

Taking in a whole vocabulary was a quarter of the time before the first token of an answer. A merge joins two
neighbours, so what it gives is a part of the text: all other tokens change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bitwright.kernels.strings import Strings
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


def byte_level(tokens: Strings, merges: Strings, words: PreTokenizer, byte_of: Mapping[str, int]) -> Part:
    """Makes encoders of byte-level BPE. `byte_of`: the characters that stand for bytes; the rest is
    tokenizer_build's."""
    longest = tokens.longest
    character_of = {byte: character for character, byte in byte_of.items()}

    def part(text: str) -> tokenizers.Tokenizer | None:
        written = "".join(map(character_of.__getitem__, text.encode()))
        found = _inside(written, tokens, longest)
        if found is None or not all(character in found for character in written):
            return None  # what has no token is left out, and its neighbours become neighbours of each other
        return build.byte_level(found, _among(found, merges), words)

    return part


def characters(tokens: Strings, merges: Strings, unknown: str | None) -> Part:
    """Makes encoders of BPE of characters."""
    longest = tokens.longest
    always = {} if unknown is None else tokens.numbers([unknown])

    def part(text: str) -> tokenizers.Tokenizer | None:
        written = text.replace(" ", SPACE)
        found = _inside(written, tokens, longest)
        if found is None or not all(character in found for character in written):
            return None
        return build.characters(found | always, _among(found, merges), unknown)

    return part


def sentencepiece(whole: Pieces) -> Part:
    """Makes encoders of SentencePiece BPE."""
    tokens, longest = whole.tokens, whole.tokens.longest
    stand_ins = set(tokens.places(f"<0x{byte:02X}>" for byte in range(256)))
    always = stand_ins.union([] if whole.unknown is None else tokens.places([whole.unknown]))
    bytes_stand_in = len(stand_ins) == 256 and bool(np.all(whole.types[[*stand_ins]] == BYTE))

    def part(text: str) -> tokenizers.Tokenizer | None:
        written = SPACE + text.replace(" ", SPACE)
        found = _inside(written, tokens, longest)
        if found is None or not (bytes_stand_in or all(character in found for character in written)):
            return None  # what stands for a character may merge with its neighbours
        return build.sentencepiece(whole, sorted(always.union(tokens.places(found))))

    return part


def _among(found: Collection[str], merges: Strings) -> list[str]:
    """The merges of two of these tokens to another."""
    joined = {f"{token[:at]} {token[at:]}" for token in found for at in cuts(token, found)}
    return [merges[place] for place in merges.places(joined)]


def _inside(text: str, tokens: Strings, longest: int) -> dict[str, int] | None:
    """The tokens, of at most `longest` characters, that `text` contains, with their ids; None if there are more than
    MOST_PIECES to look for."""
    if len(text) * longest > MOST_PIECES:
        return None
    return {tokens[id]: id for id in tokens.inside(text)}


def cuts(token: str, known: Collection[str]) -> list[int]:
    """The places where a token can be cut into two known ones."""
    return [at for at in range(1, len(token)) if token[:at] in known and token[at:] in known]
