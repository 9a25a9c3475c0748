"""New candidates within a number of bytes: random switches, and the best that a model of pairs can find."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BudgetError
from bitwright.fit.allocation import allocate
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.surrogate import Pairs

Float64 = NDArray[np.float64]

MOST_SWITCHES = 3  # raises of one random candidate, as in EvoPress
ROUNDS = 2  # allocations of one optimum, each with the costs around the last
SPREAD = 0.5  # of the logarithm of perturbed costs


@dataclass(frozen=True)
class Proposer:
    """Candidates of at most `budget` bytes. Steps up and down a tensor's ladder: its formats by bytes, without those
    that others beat in bytes and predicted cost."""

    choices: Choices
    budget: int
    ladders: tuple[tuple[int, ...], ...]
    places: NDArray[np.intp]  # (tensors, formats): the step of the ladder that is nearest in bytes

    def room(self, levels: Levels) -> int:
        """The bytes that a candidate leaves."""
        return self.budget - self.choices.bytes_of(levels)

    def switched(self, levels: Levels, random: np.random.Generator) -> Levels:
        """A few random tensors one step up, and as many random ones down as it takes to keep within the budget: a
        level switch of EvoPress, for tensors of any size."""
        changed = list(levels)
        raises = min(random.integers(1, MOST_SWITCHES + 1, 2))
        order = random.permutation(len(changed)).tolist()
        up = list(itertools.islice((t for t in order if self._step(changed, t, 1)), raises))
        for tensor in up:
            changed[tensor] = self.ladders[tensor][self.places[tensor, changed[tensor]] + 1]
        room = self.room(tuple(changed))
        for tensor in random.permutation(np.repeat(np.arange(len(changed)), 2)).tolist():
            if room >= 0:
                break
            if tensor not in up and self._step(changed, tensor, -1):
                before = changed[tensor]
                changed[tensor] = self.ladders[tensor][self.places[tensor, before] - 1]
                room += int(self.choices.bytes[tensor, before] - self.choices.bytes[tensor, changed[tensor]])
        return tuple(changed) if room >= 0 else levels

    def perturbed(self, random: np.random.Generator) -> Levels:
        """The optimum for costs that are wrong by random factors."""
        factors = np.exp(random.normal(0, SPREAD, (len(self.ladders), 1)))
        return allocate(replace(self.choices, cost=self.choices.cost * factors), self.budget, quick=True)

    def optimum(self, model: Pairs, start: Levels) -> Levels:
        """The best candidate that repeated allocation finds for a model of pairs, from the costs around `start`."""
        best, value, here = start, _value(model, start), start
        for _ in range(ROUNDS):
            here = allocate(replace(self.choices, cost=self._usable(model.around(here))), self.budget, quick=True)
            if (found := _value(model, here)) >= value:
                break
            best, value = here, found
        return best

    def climbed(self, model: Pairs, start: Levels, steps: int) -> Iterator[Levels]:
        """The candidates on the way down from `start`, at most `steps`: each switches one tensor, or two of which the
        second pays for the first, and is better by the model than the one before."""
        value = _value(model, start)
        for _ in range(steps):
            here = self._exchange(model, start)
            if here is None or (found := _value(model, here)) >= value:
                return
            start, value = here, found
            yield here

    def _exchange(self, model: Pairs, levels: Levels) -> Levels | None:
        """The best switch of one tensor, or of two, to first order in the second; None if none is better."""
        tensors, formats = self.choices.cost.shape
        rows = np.arange(tensors)
        around = self._usable(model.around(levels))
        gain = (around - around[rows, levels][:, None]).ravel()
        grown = (self.choices.bytes - self.choices.bytes[rows, levels][:, None]).ravel()
        payers = np.flatnonzero((grown < 0) & np.isfinite(gain))
        payers = payers[np.lexsort((gain[payers], grown[payers]))]  # from those that free the most bytes
        cheapest = _least_so_far(gain[payers])
        room = self.room(levels)
        places = np.searchsorted(grown[payers], room - grown, side="right") - 1
        alone = np.where(grown <= room, gain, np.inf)
        paid = np.full(len(gain), np.inf)
        if len(payers):
            paid = np.where(places >= 0, gain + gain[payers][cheapest[places]], np.inf)
        for first in np.argsort(np.minimum(alone, paid), kind="stable")[:tensors].tolist():
            if min(alone[first], paid[first]) >= 0:
                return None
            changed = list(levels)
            changed[first // formats] = first % formats
            if paid[first] < alone[first]:
                second = int(payers[cheapest[places[first]]])
                if second // formats == first // formats:
                    continue
                changed[second // formats] = second % formats
            return tuple(changed)
        return None

    def _usable(self, costs: Float64) -> Float64:
        """Costs with infinity where a format cannot be used."""
        return np.where(self.choices.allowed, costs, np.inf)

    def _step(self, levels: list[int], tensor: int, by: int) -> bool:
        """Whether a tensor's ladder goes on in that direction."""
        return bool(0 <= self.places[tensor, levels[tensor]] + by < len(self.ladders[tensor]))


def proposer(choices: Choices, budget: int) -> Proposer:
    """Proposes candidates of at most `budget` bytes."""
    ladders, places = [], np.zeros(choices.bytes.shape, np.intp)
    for tensor, (sizes, costs, allowed) in enumerate(zip(choices.bytes, choices.cost, choices.allowed, strict=True)):
        order = np.lexsort((costs, sizes))
        order = order[allowed[order]]
        least = np.minimum.accumulate(costs[order])
        ladder = order[np.append(True, costs[order][1:] < least[:-1])]
        ladders.append(tuple(ladder.tolist()))
        places[tensor] = np.abs(sizes[:, None] - sizes[ladder]).argmin(axis=1)
    return Proposer(choices, budget, tuple(ladders), places)


def uniform(choices: Choices, budget: int, random: np.random.Generator) -> Levels:
    """The start of EvoPress: the largest format that all tensors can have within the budget (a tensor that cannot hold
    it has its next smaller one, or its smallest), then random tensors one step up while bytes are left.

    BudgetError if even the smallest formats are too large.
    """
    within = proposer(choices, budget)
    size = [f.bits_per_weight for f in choices.formats]
    levels: list[int] = []
    for bits in sorted(set(size), reverse=True):
        levels = [max((n for n in ladder if size[n] <= bits), key=size.__getitem__, default=ladder[0])
                  for ladder in within.ladders]  # fmt: skip
        if within.room(tuple(levels)) >= 0:
            break
    else:
        least = choices.bytes_of(tuple(levels))
        raise BudgetError(f"the smallest candidate takes {least:,} bytes, more than the budget of {budget:,}", least)
    for tensor in random.permutation(len(levels)).tolist():
        place = within.ladders[tensor].index(levels[tensor])
        raised = [*levels[:tensor], *within.ladders[tensor][place + 1 : place + 2], *levels[tensor + 1 :]]
        if len(raised) == len(levels) and within.room(tuple(raised)) >= 0:
            levels = raised
    return tuple(levels)


def _value(model: Pairs, levels: Levels) -> float:
    """The model's objective of one candidate."""
    return float(model(np.array([levels]))[0])


def _least_so_far(values: Float64) -> NDArray[np.intp]:
    """For each place, where the least of the values up to there is."""
    least = np.minimum.accumulate(values)
    new = np.append(True, values[1:] < least[:-1])[: len(values)]
    return np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
