"""What is guessed: where a text repeats itself, as much as is worth its cost, and only by models of one vocabulary."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bitwright.engine.speculation import Cost, Repeats, Text, check_vocabulary, worthwhile
from bitwright.errors import UsageError

DENSE: Any = SimpleNamespace(experts=0, experts_used=0)
MIXTURE: Any = SimpleNamespace(experts=8, experts_used=2)


def test_repeats_are_the_longest_and_latest() -> None:
    random = np.random.default_rng(1)
    own = Text(random.integers(0, 6, 50).tolist())
    for id in random.integers(0, 6, 400).tolist():
        own.add(id)
        ids = own.ids
        ends = range(1, len(ids))
        longest = max((n for n in (2, 3, 4) for end in ends if end >= n and ids[end - n : end] == ids[-n:]), default=0)
        assert min(own.matched, 4) == longest
        assert not own.matched or ids[own.at - own.matched : own.at] == ids[-own.matched :]
        guess, chances = own.guess(7)
        assert guess[:1] == ids[own.at : own.at + 1][: len(guess)] and len(guess) == len(chances)
        assert chances == sorted(chances, reverse=True)
    assert Text([1, 2, 3, 1, 2]).guess(5)[0] == [3, 1, 2, 3, 1]
    assert Text([1, 2, 9, 1, 2, 8, 1, 2]).guess(1)[0] == [8]
    assert Text([7]).guess(3) == Text([1, 2, 3, 4]).guess(3) == ([], [])


def test_guesses_that_are_right_are_made_longer_and_wrong_ones_end() -> None:
    repeats, random = Repeats(DENSE, 15), np.random.default_rng(2)
    line = random.integers(0, 1000, 40).tolist()
    repeats.begin(0, [*line, *line[:2]])
    first = len(repeats.guess({0: 99})[0])
    for id in [*line[2:], *line, *line]:
        repeats.wrote(0, id)
    assert 0 < first < 5 and len(repeats.guess({0: 99})[0]) == 15 and len(repeats.guess({0: 3})[0]) == 3
    for _ in range(100):
        repeats.wrote(0, line[0])
        repeats.wrote(0, line[1])
        repeats.wrote(0, int(random.integers(1000, 1 << 20)))
    repeats.wrote(0, line[0])
    repeats.wrote(0, line[1])
    assert repeats.guess({0: 99}) == {}
    repeats.end(0)
    repeats.end(0)


@pytest.mark.parametrize("config", [DENSE, MIXTURE])
def test_as_much_is_guessed_as_makes_most_tokens_a_second(config: Any) -> None:
    cost, random = Cost(config), np.random.default_rng(3)
    for _ in range(50):
        chances = {s: np.cumprod(random.uniform(0.1, 0.98, 4)).tolist() for s in range(3)}

        def speed(counts: Sequence[int], chances: dict[int, list[float]] = chances) -> float:
            tokens = 3 + sum(sum(chances[s][:n]) for s, n in enumerate(counts))
            return tokens / (cost(3 + sum(counts)) + 0.1 * max(counts))

        found = worthwhile(chances, cost, 0.1)
        best = max(map(speed, itertools.product(range(5), repeat=3)))
        assert speed([found.get(s, 0) for s in range(3)]) == pytest.approx(best, rel=0.03)
    assert worthwhile({}, cost) == {} and worthwhile({0: []}, cost) == {}


def test_rows_of_a_mixture_read_further_experts() -> None:
    cost = Cost(MIXTURE)
    assert cost(1) == 1 and cost(2) == pytest.approx(1.75) and cost(100) == Cost(DENSE)(100)
    assert worthwhile({0: [0.7]}, cost) == {} and worthwhile({0: [0.7]}, Cost(DENSE)) == {0: 1}


def test_models_of_another_vocabulary_are_refused() -> None:
    class Words:
        def __init__(self, *words: str) -> None:
            self.words, self.vocab_size = words, len(words)

        def token_text(self, id: int) -> str:
            return self.words[id]

        def is_special(self, id: int) -> bool:
            return self.words[id].startswith("<")

    words: Any = Words("<s>", "a", "b")
    check_vocabulary(words, Words("<bos>", "a", "b", "c"), "other.gguf")  # type: ignore[arg-type]
    expected = r"^other.gguf has another vocabulary: its token 2 is 'c', the model's is 'b'$"
    with pytest.raises(UsageError, match=expected):
        check_vocabulary(words, Words("<s>", "a", "c"), "other.gguf")  # type: ignore[arg-type]
