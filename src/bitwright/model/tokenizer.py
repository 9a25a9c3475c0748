"""Text to token ids and back, from a GGUF file's metadata alone."""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Container, Iterable, Mapping
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bitwright.errors import BitwrightError, UnsupportedError, UsageError
from bitwright.io.values import Values
from bitwright.kernels.strings import Strings
from bitwright.model import pretokenizers, tokenizer_build, tokenizer_json, tokenizer_part, tokenizer_special
from bitwright.model.tokenizer_added import AddedTokens
from bitwright.model.tokenizer_special import BYTE, CONTROL, NORMAL, TYPES, UNKNOWN, USER_DEFINED

if TYPE_CHECKING:
    import tokenizers

    from bitwright.io.gguf import GGUF

MODELS = {"gpt2": "byte-level BPE", "llama": "SentencePiece BPE", "gemma4": "BPE of characters"}  # tokenizer.ggml.model
_BYTE_TOKEN = re.compile("<0x([0-9A-F]{2})>")
_SPECIAL = (UNKNOWN, CONTROL)
_WHOLE = (UNKNOWN, CONTROL, USER_DEFINED)  # their text stands for itself


@cache
def byte_characters() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary (OpenAI's GPT-2, src/encoder.py).

    Printable Latin-1 characters stand for themselves; the other bytes, in order, follow from U+0100.
    """
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted({*range(256)} - {*own})
    return {chr(byte): byte for byte in own} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


class Tokenizer:
    """A model's vocabulary: `encode`, `decode`, `stream`, and the ids of its special tokens.

    Roles (`bos`, `eos`, `eot`, `eom`, `unknown`, `padding`) are ids or None; `end_of_generation` is the set of ids that
    end a reply; `add_bos` and `add_eos` say what `encode` adds. Safe to use from several threads.
    """

    def __init__(
        self,
        encoder: tokenizers.Tokenizer | tokenizer_part.Encoder,
        tokens: Strings,
        special: tokenizer_special.SpecialTokens,
        added: AddedTokens | None,
        *,
        byte_level: bool,
        space_prefix: bool = False,
        add_bos: bool = False,
        add_eos: bool = False,
    ) -> None:
        self._encoder, self._added, self._lock = encoder, added, threading.Lock()  # added None: the encoder finds them
        self._tokens, self._types = tokens, special.types.tolist()
        self._byte_of = byte_characters() if byte_level else {}
        self.space_prefix = space_prefix
        self.bos, self.eos, self.eot, self.eom = special.bos, special.eos, special.eot, special.eom
        self.unknown, self.padding = special.unknown, special.padding
        self.end_of_generation = special.end_of_generation
        self.add_bos, self.add_eos = add_bos, add_eos

    @classmethod
    def from_gguf(cls, gguf: GGUF) -> Tokenizer:
        """The tokenizer of an open file, which may hold a vocabulary and no tensors."""
        return cls.from_metadata(gguf.metadata)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer that GGUF metadata describes.

        Raises UnsupportedError for a kind of vocabulary or a pre-tokenizer that bitwright does not know,
        FileFormatError for a value of the wrong type, BitwrightError if the metadata contradicts itself; for merges
        that give no token `encode` raises it, once the whole vocabulary is needed (`tokenizer_part`).
        """
        return _build(Values(metadata, prefix="tokenizer.ggml"))

    def __repr__(self) -> str:
        return f"<Tokenizer: {self.vocab_size} tokens>"

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return len(self._tokens)

    def token_text(self, id: int) -> str:
        """The text the vocabulary lists for an id: `Ġthe`, `▁the`, `<0x0A>`, `<|im_end|>`."""
        if not 0 <= id < len(self._tokens):
            raise UsageError(f"token id {id} is not below the vocabulary size {len(self._tokens)}")
        return self._tokens[id]

    def ids_of(self, texts: Iterable[str]) -> dict[str, int]:
        """The id of each of these texts that the vocabulary lists."""
        return self._tokens.numbers(texts)

    def token_bytes(self, id: int) -> bytes:
        """The bytes of text that an id stands for."""
        text, kind = self.token_text(id), self._types[id]
        if kind in _WHOLE:
            return _utf8(text)
        if self._byte_of:
            return b"".join(
                bytes((self._byte_of[character],)) if character in self._byte_of else _utf8(character)
                for character in text
            )
        if kind == BYTE and (match := _BYTE_TOKEN.fullmatch(text)):
            return bytes((int(match[1], 16),))
        return _utf8(text.replace(tokenizer_build.SPACE, " "))

    def is_special(self, id: int) -> bool:
        """Whether an id is a control token, which `skip_special` leaves out."""
        return self._types[id] in _SPECIAL

    def encode(self, text: str, add_special_tokens: bool = True, parse_special: bool = False) -> list[int]:
        """The ids of `text`, with the model's first and last special tokens if it uses them.

        `parse_special`: whether `<|im_end|>` and the like in the text become control tokens. Leave it off for text that
        comes from users.
        """
        ids = self._ids(text, parse_special) if text else []
        if add_special_tokens and self.add_bos and self.bos is not None:
            ids.insert(0, self.bos)
        if add_special_tokens and self.add_eos and self.eos is not None:
            ids.append(self.eos)
        return ids

    def _ids(self, text: str, parse_special: bool) -> list[int]:
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot hold
            text = tokenizer_build.SURROGATE.sub("\ufffd", text)
        if self._added is None:
            with self._lock:
                cast(Any, self._encoder).encode_special_tokens = not parse_special
                return self._encoded([text])[0]
        pieces = [*self._added.split(text, parse_special)]
        ids = iter(self._encoded([piece for piece in pieces if isinstance(piece, str)]))
        return [*chain.from_iterable((piece,) if isinstance(piece, int) else next(ids) for piece in pieces)]

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        with tokenizer_build.guarded():  # fast: skips offsets
            return [found.ids for found in self._encoder.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """The text of `ids`; bytes that are not UTF-8 become U+FFFD. Undoes `encode` without special tokens."""
        stream = self.stream(skip_special=skip_special)
        return "".join([stream.feed(id) for id in ids]) + stream.finish()

    def stream(
        self, skip_special: bool = True, continuing: bool = False, kept: Container[int] = frozenset()
    ) -> TextStream:
        """A decoder for ids that come one by one. `continuing`: they follow other text, so a leading space stays.
        `kept`: control tokens that are not skipped."""
        return TextStream(self, skip_special, continuing, kept)


class TextStream:
    """Turns ids into text as they come; a character whose bytes span several tokens is returned with the last."""

    def __init__(self, tokenizer: Tokenizer, skip_special: bool, continuing: bool, kept: Container[int]) -> None:
        self._tokenizer, self._skip_special, self._kept = tokenizer, skip_special, kept
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = not continuing  # where encode added a space

    def feed(self, id: int) -> str:
        """The text that `id` completes, often empty in the middle of a character."""
        piece, tokenizer = self._tokenizer.token_bytes(id), self._tokenizer
        kind = tokenizer._types[id]
        if self._at_start and tokenizer.space_prefix and kind not in _WHOLE:
            piece = piece.removeprefix(b" ")
        self._at_start = kind in _WHOLE
        skipped = self._skip_special and kind in _SPECIAL and id not in self._kept
        return "" if skipped else self._utf8.decode(piece)

    def finish(self) -> str:
        """The rest: U+FFFD for the bytes of an unfinished character."""
        return self._utf8.decode(b"", final=True)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _build(values: Values) -> Tokenizer:
    if not values.has("model"):
        raise BitwrightError("the file has no tokenizer (no tokenizer.ggml.model in its metadata)")
    kind = values.text("model")
    if kind not in MODELS:
        raise UnsupportedError("tokenizer model", repr(kind), (f"{name} ({what})" for name, what in MODELS.items()))
    tokens, types = _tokens(values)
    names = tokenizer_build.encodable(tokens)
    spm = kind == "llama"
    special = tokenizer_special.find(values, names, types, kind)
    space_prefix = spm and values.flag("add_space_prefix", True)
    name = Values(values.values, values.place).text("general.name", "").lower()
    strip = "phi-3" in name or "phi3" in name  # no key says so; llama.cpp goes by the name, too
    add_bos, added = spm, None
    encoder: tokenizers.Tokenizer | tokenizer_part.Encoder
    if "tokenizer.huggingface.json" in values.values:
        text = Values(values.values, values.place).text("tokenizer.huggingface.json")
        with tokenizer_build.guarded():
            encoder = tokenizer_json.build(text, len(tokens))
    elif spm:
        added = AddedTokens(tokens, special.types, strip)
        unknown = None if special.unknown is None else names[special.unknown]
        scores = values.numbers("scores", len(tokens)) if values.has("scores") else np.zeros(len(tokens))
        pieces = tokenizer_build.Pieces(names, scores, types, unknown, space_prefix)
        encoder = tokenizer_part.Encoder(
            lambda: tokenizer_build.sentencepiece(pieces), tokenizer_part.sentencepiece(pieces)
        )
    elif kind == "gemma4":
        added = AddedTokens(tokens, special.types, strip)
        unknown = None if special.unknown is None else names[special.unknown]
        merges = values.table("merges")
        encoder = tokenizer_part.Encoder(
            lambda: tokenizer_build.characters(tokenizer_build.ids_of(names), merges.all(), unknown),
            tokenizer_part.characters(names, merges, unknown),
        )
    else:
        added = AddedTokens(tokens, special.types, strip)
        words = pretokenizers.get(values.text("pre", "default"))
        merges = values.table("merges")
        encoder = tokenizer_part.Encoder(
            lambda: tokenizer_build.byte_level(tokenizer_build.ids_of(names), merges.all(), words),
            tokenizer_part.byte_level(names, merges, words, byte_characters()),
        )
        add_bos = words.add_bos
    return Tokenizer(
        encoder,
        tokens,
        special,
        added,
        byte_level=kind == "gpt2",
        space_prefix=space_prefix,
        add_bos=kind == "gemma4" or values.flag("add_bos_token", add_bos),  # some of its files say no, wrongly
        add_eos=values.flag("add_eos_token", False),
    )


def _tokens(values: Values) -> tuple[Strings, np.ndarray]:
    """Texts and types of all ids."""
    tokens = values.table("tokens")
    if not len(tokens):
        raise values.error("tokens", "an array of one string or more")
    if not values.has("token_type"):
        return tokens, np.full(len(tokens), NORMAL, np.int32)
    types = values.numbers("token_type", len(tokens), whole=True)
    return tokens, np.where(np.isin(types, TYPES), types, NORMAL).astype(np.int32)
