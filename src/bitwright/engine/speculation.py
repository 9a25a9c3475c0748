"""Guessing how texts go on, so that one run of the model reads several tokens of each (speculative decoding;
Leviathan et al., arXiv 2211.17192).

A guess decides nothing: it only makes the logits after it available early. A text's job draws each token from the
model's own distribution, and the first that differs from the guess ends its use. So the texts are those that would have
been written without guesses. Only batches guess; nothing that measures divergence uses one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

from bitwright.errors import UsageError
from bitwright.model.architectures.names import EXPERTS

if TYPE_CHECKING:
    from bitwright.engine.engine import Engine
    from bitwright.engine.slots import Slots
    from bitwright.model import Config
    from bitwright.model.tokenizer import Tokenizer

# What a run over 1 to 4 rows costs, compared with one row; above, the prefill kernels take BASE and SLOPE for each
# (benchmarks/results/speculation.md).
DECODE, BASE, SLOPE = (1.0, 1.08, 1.23, 1.4), 1.05, 0.19
MEMORY = 16  # guesses after which a chance has moved by two thirds to what is seen
CERTAIN = 0.98  # no chance counts for more


class Speculation:
    """Guesses for the texts of a batch, each known by its sequence. This one guesses nothing. `slots`: what it reads
    them with."""

    slots: tuple[Slots, ...] = ()

    def begin(self, sequence: int, ids: Sequence[int]) -> None:
        """A text is about to be written. `ids` are its tokens, the first new one included."""

    def wrote(self, sequence: int, id: int) -> None:
        """A text has a further token."""

    def end(self, sequence: int) -> None:
        """A text is complete, or was given up before it began."""

    def guess(self, room: Mapping[int, int]) -> dict[int, list[int]]:
        """What may follow each text, at most `room` tokens of it; texts without a guess may be missing."""
        return {}


class Repeats(Speculation):
    """Guesses that a text goes on as it did where its last tokens came before (n-grams; Saxena, prompt lookup
    decoding). At most `most` tokens at a time."""

    def __init__(self, config: Config, most: int) -> None:
        self.cost, self.most = Cost(config), most
        self._texts: dict[int, Text] = {}

    def begin(self, sequence: int, ids: Sequence[int]) -> None:
        """Find what comes several times in a text."""
        self._texts[sequence] = Text(ids)

    def wrote(self, sequence: int, id: int) -> None:
        """Add a token to a text, and learn how good its guesses are."""
        self._texts[sequence].add(id)

    def end(self, sequence: int) -> None:
        """Forget a text."""
        self._texts.pop(sequence, None)

    def guess(self, room: Mapping[int, int]) -> dict[int, list[int]]:
        """As much of the repeated texts as is worth its rows."""
        guesses = {sequence: self._texts[sequence].guess(min(self.most, most)) for sequence, most in room.items()}
        counts = worthwhile({sequence: chances for sequence, (_, chances) in guesses.items()}, self.cost)
        return {sequence: guesses[sequence][0][:count] for sequence, count in counts.items()}


class Text:
    """A text, where each run of 2, 3 and 4 tokens last occurred in it, and how often guesses from that were right."""

    LENGTHS = (4, 3, 2)
    CHANCES = (0.0, 0.0, 0.35, 0.6, 0.8, 0.9)  # at first, by the bits of `matched`: 2, 4, 8, 16 and more tokens

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids, self.chances = list(ids), list(self.CHANCES)
        self._after = {  # the place after a run's last occurrence, except for the run at the end
            n: dict(zip(zip(*(ids[i:] for i in range(n)), strict=False), range(n, len(ids)), strict=False))
            for n in self.LENGTHS
        }
        self._find()

    def _find(self) -> None:
        """Find where the last tokens occurred before: `matched` of them, up to the place `at`."""
        for n in self.LENGTHS:
            if (at := self._after[n].get(tuple(self.ids[-n:]))) is not None:
                self.matched, self.at = n, at
                return
        self.matched = 0

    def add(self, id: int) -> None:
        """Append a token."""
        hit = self.matched > 0 and self.ids[self.at] == id
        if self.matched:
            kind = self._kind(self.matched)
            self.chances[kind] = seen(self.chances[kind], hit)
        for n, after in self._after.items():
            after[tuple(self.ids[-n:])] = len(self.ids)
        self.ids.append(id)
        if hit:
            self.matched, self.at = self.matched + 1, self.at + 1
        else:
            self._find()

    def guess(self, most: int) -> tuple[list[int], list[float]]:
        """At most `most` tokens, and of each the chance that it is right along with those before it."""
        if not self.matched:
            return [], []
        period = len(self.ids) - self.at  # a repetition that reaches the end is taken to go on
        ids = [self.ids[self.at + i % period] for i in range(most)]
        return ids, chain(self.chances[self._kind(self.matched + i)] for i in range(most))

    def _kind(self, matched: int) -> int:
        return min(matched.bit_length(), len(self.chances) - 1)


class Cost:
    """What a run over some rows costs, compared with one row. Rows of a mixture choose further experts, which are
    taken to be independent."""

    def __init__(self, config: Config) -> None:
        self._used, self._unused = config.experts_used, 1.0
        if config.experts:
            self._unused = 1 - config.experts_used / config.experts

    def __call__(self, rows: int) -> float:
        """The cost of `rows` rows."""
        dense = DECODE[rows - 1] if rows <= len(DECODE) else BASE + SLOPE * rows
        return max(dense, (1 - self._unused**rows) / (1 - self._unused)) if self._unused < 1 else dense


def worthwhile(chances: Mapping[int, Sequence[float]], cost: Cost, drafting: float = 0.0) -> dict[int, int]:
    """How many guessed tokens of each text to read, so that tokens are written fastest: the likeliest of all.

    `chances` are those of each text's guesses, descending. `drafting` is the cost of having a further guess made for
    every text.
    """
    order = sorted((-chance, depth, sequence) for sequence, own in chances.items()
                   for depth, chance in enumerate(own, 1))  # fmt: skip
    expected, deepest, taken = float(len(chances)), 0, 0
    fastest = expected / cost(len(chances)) if chances else 0.0
    for count, (chance, depth, _) in enumerate(order, 1):
        expected, deepest = expected - chance, max(deepest, depth)
        speed = expected / (cost(len(chances) + count) + drafting * deepest)
        if speed > fastest:
            fastest, taken = speed, count
    return dict(Counter(sequence for _, _, sequence in order[:taken]))


def chain(chances: Iterable[float]) -> list[float]:
    """Of each guess in a row, the chance that it and all before it are right, from the chance of each alone."""
    return list(accumulate((min(chance, CERTAIN) for chance in chances), mul))


def seen(chance: float, right: bool) -> float:
    """A chance after one more guess that was right or wrong."""
    return chance + (right - chance) / MEMORY


def bytes_read(engine: Engine) -> float:
    """The bytes of weights that reading one token takes."""
    config, tensors = engine.config, engine.model.tensors
    share = config.experts_used / config.experts if config.experts else 1.0
    names = {op.weights[0] for op in engine.model.step.ops if op.multiplies}
    return sum(tensors[name].nbytes * (share if EXPERTS in name else 1.0) for name in names)


def check_vocabulary(own: Tokenizer, draft: Tokenizer, name: str) -> None:
    """UsageError naming the draft model and a token, if an id stands for different text in two models. Control tokens
    may differ, and further ones may pad a vocabulary."""
    for id in range(min(own.vocab_size, draft.vocab_size)):
        if own.token_text(id) != draft.token_text(id) and not (own.is_special(id) or draft.is_special(id)):
            raise UsageError(f"{name} has another vocabulary: its token {id} is {draft.token_text(id)[:40]!r}, "
                             f"the model's is {own.token_text(id)[:40]!r}")  # fmt: skip
