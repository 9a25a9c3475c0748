"""The exact optimum of the additive model: one format for each tensor, least cost within a number of bytes.

This is the multiple-choice knapsack problem. Three steps solve it:

1. A multiplier, nats per byte, replaces the budget: every tensor takes the format of least cost + multiplier · bytes.
   The best multiplier is found by secants between a candidate that is too large and one that fits, each of which is
   optimal for its own multiplier. It bounds the optimum from below, and the candidate that fits bounds it from above.
2. A format whose loss at that multiplier exceeds the gap between the bounds is in no optimum.
3. Tensors are added one by one to a front of partial candidates, none of which is both larger and worse than another.
   One that cannot beat the best candidate known is dropped; one that fits, with the rest as in step 1, may become it.

The answer is exact but for rounding in float64: nothing is dropped that could be better. The problem is NP-hard, but
models have many tensors, so that the gap closes to almost nothing and few partial candidates remain: 300 tensors with
19 formats take a twentieth of a second. (HiGHS, a mixed-integer solver, took ten times as long on the same problems,
and its tolerances stopped it up to a millionth of a nat short.) Only if the widest search leaves candidates out, as it
does where cost is all but a linear function of bytes, is the answer the best found rather than the proven best.
Kellerer, Pferschy and Pisinger, Knapsack Problems (2004), chapter 11; Pisinger, A minimal algorithm for the
multiple-choice knapsack problem (1995).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import BudgetError
from bitwright.fit.choices import Choices, Levels

Array = NDArray[np.float64]
Amounts = NDArray[np.int64] | NDArray[np.float64]
WIDTHS = (256, 2048, 16384)  # partial candidates that a search keeps; the next, wider one follows if some were left out
ROUNDING = 1e-13  # relative error of a sum in float64 that the multiplier's search stops at


def allocate(choices: Choices, budget: int, quick: bool = False) -> Levels:
    """The candidate of least predicted cost that takes at most `budget` bytes; the same for the same choices. `quick`
    takes what a narrow search finds, which is the optimum or very near it, in a fifth of the time.

    BudgetError, with the fewest bytes, if no candidate is small enough.
    """
    least = int(np.where(choices.allowed, choices.bytes, np.iinfo(np.int64).max).min(axis=1).sum())
    if least > budget:
        raise BudgetError(
            f"the smallest candidate takes {least:,} bytes, more than the budget of {budget:,}; "
            "allow more bytes, or formats of fewer bits",
            least,
        )
    return _optimum(choices.cost, choices.bytes, choices.allowed, budget, WIDTHS[:1] if quick else WIDTHS)


def cheapest(choices: Choices, most_cost: float) -> Levels:
    """The candidate of fewest bytes that is predicted to cost at most `most_cost` nats, but for rounding in float64.

    BudgetError, with the least cost, if no candidate is good enough.
    """
    least = float(np.where(choices.allowed, choices.cost, np.inf).min(axis=1).sum())
    if least > most_cost:
        raise BudgetError(
            f"the best candidate is predicted to cost {least:.4g} nats, more than the {most_cost:.4g} allowed; "
            "allow more nats, or formats of more bits",
            least,
        )
    return _optimum(choices.bytes, choices.cost, choices.allowed, most_cost, WIDTHS)


def _optimum(
    value: Amounts, weight: Amounts, allowed: NDArray[np.bool_], limit: float, widths: Sequence[int]
) -> Levels:
    """For each row the column that it takes: the least sum of `value` with a sum of `weight` of at most `limit`, which
    some columns meet. All (rows, columns). `widths`: of the searches."""
    columns, values, weights = _fronts(value, weight, allowed)
    lightest = np.zeros(len(values), np.intp)
    best = values.argmin(axis=1)
    if _sum(weights, best) <= limit:
        taken = best
    else:
        multiplier, fitting = _multiplier(values, weights, limit, best, lightest)
        taken = fitting
        for width in widths:  # a search starts with the best that the one before found, which leaves fewer to keep
            taken, exact = _search(values, weights, limit, multiplier, fitting, taken, width)
            if exact:
                break
    return tuple(columns[np.arange(len(taken)), taken].tolist())


def _fronts(value: Amounts, weight: Amounts, allowed: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Array, Array]:
    """The columns of each row that no other column dominates, by rising weight and so by falling value: their numbers,
    values and weights. Rows with fewer than the most are filled with an infinite value."""
    rows = []
    for v, w, usable in zip(value.astype(np.float64), weight.astype(np.float64), allowed, strict=True):
        order = np.lexsort((v, w))
        order = order[usable[order]]
        rows.append(order[_falling(v[order])])
    columns = np.zeros((len(rows), max(map(len, rows))), np.intp)
    filled = np.zeros(columns.shape, np.bool_)
    for row, found in enumerate(rows):
        columns[row, : len(found)], filled[row, : len(found)] = found, True
    values = np.where(filled, np.take_along_axis(value, columns, 1), np.inf)
    return columns, values, np.where(filled, np.take_along_axis(weight, columns, 1), 0.0)


def _falling(values: Array) -> NDArray[np.bool_]:
    """Which values are less than all before them."""
    falling = np.ones(len(values), np.bool_)
    np.less(values[1:], np.minimum.accumulate(values)[:-1], out=falling[1:])
    return falling


def _sum(amounts: Array, taken: NDArray[np.intp]) -> float:
    """The sum of what each row takes."""
    return float(_each(amounts, taken).sum())


def _multiplier(
    values: Array, weights: Array, limit: float, heavy: NDArray[np.intp], fitting: NDArray[np.intp]
) -> tuple[float, NDArray[np.intp]]:
    """The multiplier of the weight that gives the best bound, and the columns that are optimal there and fit."""
    while True:
        multiplier = (_sum(values, fitting) - _sum(values, heavy)) / (_sum(weights, heavy) - _sum(weights, fitting))
        total = values + multiplier * weights
        taken = total.argmin(axis=1)  # the first, and so the lightest, of equals
        error = ROUNDING * float(np.abs(_each(total, heavy)).sum())  # values may be negative
        if np.array_equal(taken, fitting) or _sum(total, taken) >= _sum(total, heavy) - error:
            return multiplier, fitting
        heavy, fitting = (heavy, taken) if _sum(weights, taken) <= limit else (taken, fitting)


def _search(
    values: Array,
    weights: Array,
    limit: float,
    multiplier: float,
    fitting: NDArray[np.intp],
    best: NDArray[np.intp],
    width: int,
) -> tuple[NDArray[np.intp], bool]:
    """The optimum, from partial candidates that `fitting` completes: each row by its best column at the multiplier.

    At most `width` partial candidates are kept, those with the best bounds. Also returns whether that was all of them;
    if not, there may be a better one than the one found.
    """
    total = values + multiplier * weights
    losses = total - total.min(axis=1, keepdims=True)
    order = np.argsort(np.where(losses > 0, losses, np.inf).min(axis=1), kind="stable")  # the most undecided rows first
    rest_value, rest_weight = (_after(_each(a, fitting)[order]) for a in (values, weights))
    rest_total, rest_least = _after(total.min(axis=1)[order]), _after(weights[:, 0][order])
    value, weight, least = np.zeros(1), np.zeros(1), _sum(values, best)
    trail: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    known, exact = None, True
    for step, row in enumerate(order):
        bound = (value + multiplier * weight + rest_total[step] - multiplier * limit)[:, None] + losses[row]
        fits = weight[:, None] + weights[row] + rest_least[step + 1] <= limit
        kept = np.flatnonzero((bound < least) & fits)
        if not len(kept):
            break
        if len(kept) > width:
            kept, exact = np.sort(kept[np.argsort(bound.ravel()[kept], kind="stable")[:width]]), False
        parent, column = np.divmod(kept, losses.shape[1])
        value, weight = value[parent] + values[row, column], weight[parent] + weights[row, column]
        front = np.lexsort((value, weight))
        front = front[_falling(value[front])]
        value, weight = value[front], weight[front]
        trail.append((parent[front], column[front]))
        whole = np.where(weight + rest_weight[step + 1] <= limit, value + rest_value[step + 1], np.inf)
        if whole.min() < least:
            least, known = float(whole.min()), (step + 1, int(whole.argmin()))
    if known is None:
        return best, exact
    taken, (steps, state) = fitting.copy(), known
    for step in reversed(range(steps)):
        parent, column = trail[step]
        taken[order[step]], state = column[state], parent[state]
    return taken, exact


def _each(amounts: Array, taken: NDArray[np.intp]) -> Array:
    """What each row takes."""
    return np.take_along_axis(amounts, taken[:, None], 1)[:, 0]


def _after(amounts: Array) -> Array:
    """The sum of all amounts from each place on, and 0 behind the last."""
    return np.append(np.cumsum(amounts[::-1])[::-1], 0.0)
