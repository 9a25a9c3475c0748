"""Whether a model was calibrated on the text it is evaluated on.

A quantization looks better than it is on text it was calibrated on. Both texts are cut into words, and every run of 13
is looked up (the length that contamination studies have used since GPT-3, arXiv 2005.14165, appendix C). In scripts
that are written without spaces, every character counts as a word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

RUN = 13  # words
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff"  # Thai, Lao, Burmese, Khmer, kana, Han
WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


@dataclass(frozen=True)
class Overlap:
    """The share of the evaluation text's runs of 13 words that also occur in a calibration text; hashes of both."""

    share: float
    runs: int
    evaluation_sha256: str
    calibration_sha256: str


def overlap(evaluation: str, calibration: str) -> Overlap:
    """How much of `evaluation` also occurs in `calibration`, ignoring case, punctuation and white space."""
    known = set(runs(calibration))
    found = [run in known for run in runs(evaluation)]
    share = sum(found) / len(found) if found else 0.0
    return Overlap(share, len(found), sha256_of(evaluation), sha256_of(calibration))


def sha256_of(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def runs(text: str) -> Iterator[int]:
    """A hash of every 13 consecutive words (64 bits: runs collide once in millions of books)."""
    words = WORD.findall(text.lower())
    for start in range(len(words) - RUN + 1):
        yield hash(tuple(words[start : start + RUN]))
