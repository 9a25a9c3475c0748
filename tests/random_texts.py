"""Random texts of many scripts, the same on every machine."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from collections.abc import Iterator, Sequence

COUNT, GROUP = 1000, 100
PIECES = (
    "abcxyz", "ABCXYZ", "0123456789", " ", "  ", "\n", "\n\n", "\t", "\r\n", ".,;:!?", "()[]{}<>/\\|`~@#$%^&*_-+=\"'",
    "'s", "'LL", "'re", "’t", "I'm", "hello", " World", "CamelCase", "3.14", " 2026", "٣٤٥", "Ⅷ½²", "\u00a0", "\u3000",
    "éßñøÅ", "ПривеТ", "Ελλάδα", "שלום", "العربية", "हिन्दी", "ไทย", "日本語かなカナ", "中文。，", "한국어",
    "e\u0301", "🦙🚀", "👩\u200d💻", "→∑√", "ǅ", "ﬁ", "𐐀𐐨",
)  # fmt: skip


def random_texts() -> Iterator[str]:
    """COUNT texts of 1 to 20 pieces, in Unicode's composed form: transformers composes some families' texts first, and
    llama.cpp none."""
    drawn = random.Random(2026)
    for _ in range(COUNT):
        chosen = [drawn.choice(PIECES) for _ in range(drawn.randint(1, 20))]
        pieces = [piece if drawn.random() < 0.5 else drawn.choice(piece) * drawn.randint(1, 3) for piece in chosen]
        yield unicodedata.normalize("NFC", "".join(pieces))


def hashes(ids: Sequence[list[int]], apart: Sequence[int] = ()) -> list[str]:
    """Of each GROUP of texts, a hash of their ids, without those of the texts whose numbers are in `apart`."""
    found = [own for number, own in enumerate(ids) if number not in apart]
    groups = (found[start : start + GROUP] for start in range(0, len(found), GROUP))
    return [hashlib.sha256(json.dumps(group).encode()).hexdigest()[:16] for group in groups]
