"""SentencePiece's tokenizer.model, in the wire format of protocol buffers.

Messages: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto; wire format:
https://protobuf.dev/programming-guides/encoding/. Only what llama.cpp computes is accepted: BPE with byte fallback and
texts that are not normalized.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from bitwright.errors import FileFormatError, UnsupportedError
from bitwright.io import inputs
from bitwright.io.gguf import Typed
from bitwright.io.values import Values, described
from bitwright.model.conversion.added_tokens import Token, decoder
from bitwright.model.tokenizer_build import SPACE
from bitwright.model.tokenizer_special import BYTE, NORMAL, TYPES, UNUSED, USER_DEFINED

LARGEST = 1 << 27  # bytes of a file; those of known models have 4 MB
MODEL_TYPES: dict[object, str] = {1: "unigram", 2: "BPE", 3: "word", 4: "char"}
BPE = 2
PADDING, ADDED = -10000.0, -1000.0  # scores of ids without a token, and of added tokens
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
PIECES, TRAINER, NORMALIZER = 1, 2, 3  # fields of ModelProto
Field = tuple[int, int | bytes]


class Piece(NamedTuple):
    """A token, and its score: the higher, the earlier it is merged."""

    token: Token
    score: float


def vocabulary(path: Path, size: int, more: Values, config: Values) -> dict[str, Typed]:
    """Tokens, scores and types for `size` ids, by GGUF's keys without tokenizer.ggml. more: added_tokens.json. config:
    tokenizer_config.json; its added tokens take the place of the model's. An id that no token has is unused."""
    pieces, space_prefix = read(path)
    if len(pieces) > size:
        raise FileFormatError(path, None, f"at most {size} tokens (vocab_size)", str(len(pieces)))
    rows = pieces + [Piece(Token(f"[PAD{id}]", UNUSED), PADDING) for id in range(len(pieces), size)]
    for text, id in more.values.items():
        if type(id) is not int or id < 0:
            raise more.error(text, "an id")
        if id < size:
            rows[id] = Piece(Token(text, USER_DEFINED), ADDED)
    for id, token in decoder(config, size).items():
        rows[id] = Piece(token, ADDED)
    found = {
        "model": Typed("llama", "string"),
        "pre": Typed("default", "string"),
        "tokens": Typed([row.token.text for row in rows], "array[string]"),
        "scores": Typed([row.score for row in rows], "array[float32]"),
        "token_type": Typed([row.token.type for row in rows], "array[int32]"),
    }
    if config.has("add_prefix_space") or not space_prefix:
        found["add_space_prefix"] = Typed(config.flag("add_prefix_space", space_prefix), "bool")
    return found


def read(path: Path) -> tuple[list[Piece], bool]:
    """The pieces of a model by id, and whether a space is put before a text.

    Raises FileFormatError for a broken file, UnsupportedError for a model that llama.cpp would compute differently.
    """
    message = Message(path, inputs.read(path, LARGEST, "a vocabulary"))
    pieces, trainer, normalizer = [], dict[int, int | bytes](), dict[int, int | bytes]()
    for at, (number, value) in message.fields():
        if number in (PIECES, TRAINER, NORMALIZER):
            inner = message.inner(at, value)
            if number == PIECES:
                pieces.append(_piece(inner))
            else:
                (trainer if number == TRAINER else normalizer).update(field for _, field in inner.fields())
    if not pieces:
        raise FileFormatError(path, None, "a vocabulary with pieces", "none")
    if (kind := trainer.get(3, 1)) != BPE:
        raise UnsupportedError(f"{path}: a vocabulary of kind", MODEL_TYPES.get(kind, "unknown"), ["BPE"])
    if not trainer.get(35) or not any(piece.token.type == BYTE for piece in pieces):
        raise UnsupportedError(f"{path}: a vocabulary without", "byte fallback", ["BPE with byte fallback"])
    for field, name, wanted in ((2, "precompiled_charsmap", b""), (4, "remove_extra_whitespaces", 0)):
        if normalizer.get(field, b"" if field == 2 else 1) != wanted:
            raise UnsupportedError(f"{path}: normalizing texts by", name, ["identity"])
    return pieces, bool(normalizer.get(3, 1))


def _piece(message: Message) -> Piece:
    """A message with the text (1), the score (2) and the type (3) of a piece, whose types are GGUF's."""
    text, score, kind = "", 0.0, NORMAL
    for at, (number, value) in message.fields():
        if number == 1 and isinstance(value, bytes):
            try:
                text = value.decode()
            except UnicodeDecodeError:
                raise FileFormatError(message.path, at, "a piece in UTF-8", repr(value[:40])) from None
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            score = struct.unpack("<f", value)[0]
        elif number == 3 and isinstance(value, int):
            kind = value
    if kind not in TYPES:
        raise FileFormatError(message.path, message.start, f"a type of {text[:40]!r} out of {TYPES}", described(kind))
    return Piece(Token(text.replace(SPACE, " ") if kind == USER_DEFINED else text, kind), score)


class Message:
    """A message of protocol buffers, whose fields are read in order; it lies in the file from byte `start` on."""

    def __init__(self, path: Path, data: bytes, start: int = 0) -> None:
        self.path, self.data, self.start = path, data, start

    def fields(self) -> Iterator[tuple[int, Field]]:
        """Where each field's value lies in the file, its number and its value: a whole number, or bytes."""
        at = 0
        while at < len(self.data):
            key, at = self._varint(at)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, end = self._varint(at)
                yield self.start + at, (number, value)
            elif kind in (LENGTH, FIXED64, FIXED32):
                length, at = self._varint(at) if kind == LENGTH else ({FIXED64: 8, FIXED32: 4}[kind], at)
                end = at + length
                if end > len(self.data):
                    self._fail(at, f"{length} bytes of field {number}", f"{len(self.data) - at}")
                yield self.start + at, (number, self.data[at:end])
            else:
                self._fail(at, f"a field of wire type {VARINT}, {FIXED64}, {LENGTH} or {FIXED32}", str(kind))
            at = end

    def inner(self, at: int, value: int | bytes) -> Message:
        """The message that is the value of a field, which lies at byte `at` of the file."""
        if not isinstance(value, bytes):
            raise FileFormatError(self.path, at, "a message", f"the number {value}")
        return Message(self.path, value, at)

    def _varint(self, at: int) -> tuple[int, int]:
        """A number of seven bits per byte, lowest first, and where it ends."""
        value = 0
        for index, byte in enumerate(self.data[at : at + 10]):
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value, at + index + 1
        self._fail(at, "a number of at most 10 bytes", "none before the end")

    def _fail(self, at: int, expected: str, got: str) -> NoReturn:
        raise FileFormatError(self.path, self.start + at, expected, got)
