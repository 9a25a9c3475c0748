"""The work that one render of a chat template may do, charged step by step.

Every loop turn, call, filter and comparison costs STEP; every character of a string and element of a list that is made
costs 1. The functions that make strings charge before they make them.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2.exceptions import SecurityError

WORK = 1 << 27  # units in one render; a step costs STEP, a character or an element costs 1
STEP = 64  # hence at most two million steps
SECONDS = 3.0  # of this thread's CPU time


class Budget:
    """What one render may still do."""

    def __init__(self) -> None:
        self.left, self.deadline = WORK, time.thread_time() + SECONDS

    def spend(self, amount: int) -> None:
        """Count work. Raises SecurityError once the budget or its time is used up."""
        self.left -= amount + STEP
        if self.left < 0 or time.thread_time() > self.deadline:
            raise SecurityError(f"it does more than a prompt needs ({WORK} units of work or {SECONDS:g} s)")


_budget: contextvars.ContextVar[Budget] = contextvars.ContextVar("budget")


def spend(amount: int) -> None:
    """Charge the current render for one step and `amount` characters or elements."""
    _budget.get().spend(amount)


def render(template: Any, variables: dict[str, Any]) -> str:
    """`template`, compiled by a `Sandbox`, within a fresh budget."""
    token = _budget.set(Budget())
    try:
        return str(template.render(variables))
    finally:
        _budget.reset(token)


def weigh(value: Any) -> Any:
    """Charge for everything `value` holds, shared parts as often as they would be printed; returns it."""
    charge, waiting = _budget.get().spend, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple, set)):
            waiting += item
        charge(len(item) if isinstance(item, (str, bytes, dict, list, tuple, set)) else 0)
    return value


def turns(values: Iterable[Any]) -> Iterator[Any]:
    """Charge for every turn of a loop."""
    for value in values:
        spend(0)
        yield value


def step(value: Any) -> Any:
    """Charge for one step."""
    spend(0)
    return value


def joined(values: Iterable[Any], separator: str = "") -> str:
    """The texts of `values` in one string, charged before it is made."""
    texts = [str(value) for value in turns(values)]
    spend(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def replaced(text: str, old: str, new: str, count: int | None = -1) -> str:
    """`text.replace`, charged before the result is made."""
    text, old, new, count = str(text), str(old), str(new), -1 if count is None else count
    found = text.count(old) if count < 0 else min(count, text.count(old))
    spend(len(text) + found * len(new))
    return text.replace(old, new, count)
