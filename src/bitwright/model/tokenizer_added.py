"""Control and user-defined tokens, which are found in a text before any other processing.

Longer ones first, wherever they are in the text, and the leftmost first among equals: so does llama.cpp
(`tokenizer_st_partition` in src/llama-vocab.cpp). It matters only where two overlap; elsewhere one scan from the left
finds the same.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.kernels.strings import Strings
from bitwright.model.tokenizer_special import CONTROL, UNKNOWN, USER_DEFINED

WHITE = " \t\n\v\f\r"
KEEP = ("<unk>", "<s>", "<|endoftext|>")
LONGEST = 512  # characters of one such token
MOST_NEIGHBOURS = 64  # tokens that begin with the end of another, for the scan to look at them all


class AddedTokens:
    """The tokens of a vocabulary that are found whole: `split` cuts a text at them."""

    def __init__(self, tokens: Strings | Sequence[str], types: np.ndarray, strip: bool = False) -> None:
        """`types` int32 (tokens,); tokens that are empty have no text to find. strip: white space is left out
        after all of them but KEEP."""
        chosen = [id for id in np.flatnonzero(np.isin(types, (UNKNOWN, CONTROL, USER_DEFINED))).tolist() if tokens[id]]
        for id in chosen:
            if len(tokens[id]) > LONGEST:
                raise BitwrightError(
                    f"the file's tokenizer is broken: the special token {id} has {len(tokens[id]):,} characters; "
                    f"at most {LONGEST} are supported"
                )
        self._all = _Finder({tokens[id]: id for id in chosen})
        self._strips = {id for id in chosen if tokens[id] not in KEEP} if strip else set[int]()
        self._user = _Finder({tokens[id]: id for id in chosen if types[id] == USER_DEFINED})

    def split(self, text: str, special: bool) -> Iterator[str | int]:
        """The text between such tokens and the ids of those, in order. `special`: control tokens are found too."""
        finder, done, last = self._all if special else self._user, 0, -1
        for at, end in (*finder.places(text), (len(text), len(text))):
            between = text[done:at].lstrip(WHITE) if last in self._strips else text[done:at]
            if between:
                yield between
            if at < end:
                yield (last := finder.ids[text[at:end]])
            done = end


def _before(characters: set[str]) -> str:
    """A pattern for a place before one of `characters`, of which one may be empty."""
    return "" if "" in characters else f"(?=[{''.join(map(re.escape, characters))}])"


class _Finder:
    def __init__(self, ids: dict[str, int]) -> None:
        self.ids, self._sorted = ids, sorted(ids)
        seconds: dict[str, set[str]] = {}
        for text in ids:
            seconds.setdefault(text[0], set()).add(text[1:2])
        branches = [re.escape(first) + _before(seconds[first]) for first in seconds]
        if len(branches) > MOST_NEIGHBOURS:
            branches = [f"[{''.join(map(re.escape, seconds))}]"]
        self._first = re.compile("|".join(branches)) if branches else None
        self._follow: dict[str, set[str] | None] = {}
        self._shorter: dict[str, str] = {}  # by token: the next shorter one that it begins with
        open_tokens = [""]
        for text in self._sorted:
            while not text.startswith(open_tokens[-1]):
                open_tokens.pop()
            self._shorter[text] = open_tokens[-1]
            open_tokens.append(text)

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """(first, last + 1) of the tokens in `text`, from left to right."""
        at = 0
        while (at := self._next(text, at)) < len(text):
            token = self._longest(text[at : at + LONGEST])
            if not token:
                at += 1
                continue
            end = at + len(token)
            follow = self._after(token)
            if end < len(text) and (follow is None or text[end] in follow):
                places, at = self._overlapping(text, at)
                yield from places
            else:
                yield at, end
                at = end

    def _next(self, text: str, at: int) -> int:
        """Where a token may begin, from `at` on; else the end of `text`."""
        match = self._first.search(text, at) if self._first else None
        return match.start() if match else len(text)

    def _longest(self, text: str) -> str:
        """The longest token that `text` begins with, or nothing."""
        at = bisect_right(self._sorted, text)
        found = self._sorted[at - 1] if at else ""  # every token that `text` begins with begins this one too
        while not text.startswith(found):
            found = self._shorter[found]
        return found

    def _after(self, token: str) -> set[str] | None:
        """The characters after `token` with which another token may begin inside it and reach beyond; None: any."""
        if token not in self._follow:
            self._follow[token] = self._neighbours(token)
        return self._follow[token]

    def _neighbours(self, token: str) -> set[str] | None:
        found: set[str] = set()
        for start in range(1, len(token)):
            tail = token[start:]
            first, last = bisect_right(self._sorted, tail), bisect_left(self._sorted, tail + "\U0010ffff")
            if last - first > MOST_NEIGHBOURS:
                return None
            found.update(other[len(tail)] for other in self._sorted[first:last])
        return found

    def _overlapping(self, text: str, at: int) -> tuple[list[tuple[int, int]], int]:
        """The places to use among those that overlap from `at` on, and where the last of all ends."""
        heap: list[tuple[int, int, int, int]] = []

        def offer(at: int, end: int) -> int:
            token = self._longest(text[at:end])
            if token:
                heapq.heappush(heap, (-len(token.encode()), self.ids[token], at, at + len(token)))
            return at + len(token)

        first, last = at, at + 1
        while at < last:
            last = max(last, offer(at, at + LONGEST))
            at = self._next(text, at + 1)
        taken, places = bytearray(last - first), []
        while heap:
            _, _, at, end = heapq.heappop(heap)
            if taken.find(1, at - first, end - first) < 0:
                taken[at - first : end - first] = b"\1" * (end - at)
                places.append((at, end))
            elif not taken[at - first]:
                offer(at, end - 1)  # a shorter one may fit
        return sorted(places), last
