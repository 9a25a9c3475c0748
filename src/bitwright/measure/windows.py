"""Which tokens of a text are scored, and which document each belongs to.

The cut is llama.cpp's (tools/perplexity/perplexity.cpp): the text is tokenized once and cut into disjoint chunks of
`context` tokens. Each is read afresh, its first token replaced by the beginning-of-text token if the model uses one.
Only the second half is scored: positions context // 2 to context - 2 predict the next token.

Errors within one document are correlated, so error bars count documents. A document begins at a line ` = Title = ` (a
WikiText article) or after `<|endoftext|>`; a text with neither is one document.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.model.tokenizer import Tokenizer

DOCUMENT = re.compile(rb"^ ?= (?!=)[^\n]*[^=\s] = ?\r?$|(?<=<\|endoftext\|>)", re.MULTILINE)


@dataclass(frozen=True)
class Windows:
    """The chunks of a text that are scored.

    `ids` (chunks, context); `places` (chunks,): which chunk of the text each is. For every scored token, in (chunks,
    scored tokens of a chunk): `documents`, the number of its document, and `sizes`, its bytes of text.
    """

    ids: NDArray[np.int32] = field(repr=False)
    places: NDArray[np.int64] = field(repr=False)
    documents: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)

    @property
    def context(self) -> int:
        """Tokens in a chunk."""
        return int(self.ids.shape[1])

    @property
    def first(self) -> int:
        """The position of the first token whose prediction is scored."""
        return self.context // 2

    @property
    def targets(self) -> NDArray[np.int32]:
        """The tokens whose predictions are scored (chunks, scored)."""
        return self.ids[:, self.first + 1 :]

    @property
    def sha256(self) -> str:
        """SHA-256 of the scored chunks' token ids: runs with the same hash scored the same tokens."""
        return hashlib.sha256(np.ascontiguousarray(self.ids, "<i4").tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def text_bytes(self, chunks: int) -> int:
        """About how many bytes of such a text that many chunks take."""
        return round(chunks * self.context * int(self.sizes.sum()) / self.targets.size)

    def some(self, count: int) -> Windows:
        """At most `count` of the chunks, spread evenly over them."""
        chosen = spread(len(self), count)
        parts = {name: getattr(self, name)[chosen] for name in ("ids", "places", "documents", "sizes")}
        return replace(self, **parts)


def spread(total: int, count: int) -> NDArray[np.int64]:
    """`count` of the numbers below `total`, each in the middle of one of `count` equal parts."""
    count = min(count, total)
    return ((np.arange(count) + 0.5) * total / count).astype(np.int64)


def cut(tokenizer: Tokenizer, text: str, context: int, chunks: int | None = None, spread_out: bool = False) -> Windows:
    """All chunks of a text, the first `chunks` of them (what llama.cpp scores), or `chunks` spread over the whole text.

    Raises UsageError if the text is shorter than a chunk.
    """
    if context < 4:
        raise UsageError(f"chunks must have at least 4 tokens, got {context}")
    if chunks is not None and chunks < 1:
        raise UsageError(f"at least one chunk is needed, got {chunks}")
    return cut_ids(tokenizer, np.array(tokenizer.encode(text), np.int32), context, chunks, spread_out)


def cut_ids(
    tokenizer: Tokenizer, ids: NDArray[np.int32], context: int, chunks: int | None = None, spread_out: bool = False
) -> Windows:
    """As `cut`, for a text that is already tokenized, `ids` (tokens,)."""
    total = len(ids) // context
    if not total:
        what = f"expected a text of at least one chunk of {context} tokens, got {len(ids)}"
        raise UsageError(f"{what}: use more text or shorter chunks")
    wanted = total if chunks is None else min(chunks, total)
    places = spread(total, wanted) if spread_out else np.arange(wanted)
    whole = ids[: total * context].reshape(total, context)
    documents, sizes = (x[: total * context].reshape(total, context) for x in documents_of(tokenizer, ids))
    scored = np.s_[places, context // 2 + 1 :]
    pieces = whole[places]
    if tokenizer.add_bos and tokenizer.bos is not None:
        pieces[:, 0] = tokenizer.bos
    return Windows(pieces, places, documents[scored], sizes[scored])


def documents_of(tokenizer: Tokenizer, ids: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The document that each token (tokens,) begins in, counted from 0, and its bytes of text."""
    used, places = np.unique(ids, return_inverse=True)
    pieces = [b"" if tokenizer.is_special(int(id)) else tokenizer.token_bytes(int(id)) for id in used]
    sizes = np.array([len(piece) for piece in pieces], np.int64)[places]
    text = b"".join(pieces[place] for place in places)
    starts = [match.start() for match in DOCUMENT.finditer(text)]
    # A token that ends the line before a title often holds the title's first space: it begins in the document before.
    return np.searchsorted(starts, np.cumsum(sizes) - sizes, side="right"), sizes
