"""The work that one render of a chat template may do, charged step by step.

Every loop turn, call, filter, test, comparison and access costs STEP; every character of a string that is made or
searched costs 1, and every element of a list or dict STEP. What could be huge is charged before it is made. No value is
so large that one operation on it takes long, so the time limit holds between operations.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2.exceptions import SecurityError

STEP = 64
WORK = 1 << 25  # units in one render, hence at most half a million steps
LARGEST = 1 << 22  # characters of one string
SECONDS = 3.0  # of this thread's CPU time
# What a conversation adds, for each unit it weighs, and for each pair of its messages: some templates copy, or look
# through, all that came before for every message.
# Templates of models that see images look at every character of a content that is text.
WORK_GROWTH, WORK_PER_MESSAGE, LARGEST_GROWTH, SECONDS_GROWTH = 1024, 4, 16, 1.5e-5
SECONDS_PER_PAIR = 1e-5
BETWEEN_LOOKS = 32 * STEP  # units between two looks at the clock
LARGEST_BITS = 4096  # of an integer
_CONTAINERS = (dict, list, tuple, set)


class Budget:
    """What one render may still do, for a conversation of so many messages that weighs `size` units."""

    def __init__(self, size: int, messages: int) -> None:
        self.left = self.work = WORK + (WORK_GROWTH + WORK_PER_MESSAGE * messages) * size
        self.largest = LARGEST + LARGEST_GROWTH * size
        self.seconds = SECONDS + SECONDS_GROWTH * size + SECONDS_PER_PAIR * messages**2
        self.deadline, self.next_look = time.thread_time() + self.seconds, self.left

    def spend(self, amount: int) -> None:
        """Count work. Raises SecurityError once the budget or its time is used up."""
        self.left -= amount + STEP
        if self.left > self.next_look:
            return
        self.next_look = self.left - BETWEEN_LOOKS
        if self.left < 0 or time.thread_time() > self.deadline:
            raise SecurityError(f"it does more than a prompt needs ({self.work} units of work or {self.seconds:.2g} s)")

    def hold(self, characters: int, times: int = 1) -> None:
        """Count a thing with that many characters, `times` over. Raises SecurityError if there are too many."""
        if characters > self.largest:
            raise SecurityError(f"a text of {characters} characters is more than a prompt needs ({self.largest})")
        self.spend((characters + STEP) * times - STEP)


_budget: contextvars.ContextVar[Budget] = contextvars.ContextVar("budget")


def spend(amount: int) -> None:
    """Charge the current render for one step and `amount` units."""
    _budget.get().spend(amount)


def hold(characters: int) -> None:
    """Charge the current render for one step and a string of that length."""
    _budget.get().hold(characters)


def render(template: Any, variables: dict[str, Any]) -> str:
    """`template`, compiled by a `Sandbox`, within a fresh budget."""
    size = sum(STEP + characters for characters in _parts(variables))
    token = _budget.set(Budget(size, len(variables["messages"])))
    try:
        return str(template.render(variables))
    finally:
        _budget.reset(token)


def _parts(value: Any) -> Iterator[int]:
    """The characters of each thing in `value`, shared parts as often as they would be printed."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, _CONTAINERS):
            waiting += item
        elif isinstance(item, int) and item.bit_length() > LARGEST_BITS:
            raise SecurityError(f"an integer of more than {LARGEST_BITS} bits")
        yield len(item) if isinstance(item, (str, bytes)) else 0


def weigh(value: Any, times: int = 1) -> Any:
    """Charge for everything `value` holds, `times` as much; returns it."""
    charge = _budget.get().hold
    for characters in _parts(value):
        charge(characters, times)
    return value


def sized(value: Any) -> Any:
    """Charge for the length of `value`, whose elements are not new; returns it."""
    spend(len(value) if hasattr(value, "__len__") else 0)
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


def text_of(value: Any) -> str:
    """`str(value)`, charged before it is made."""
    text = str(value if isinstance(value, str) else weigh(value))
    hold(len(text))
    return text


def joined(values: Iterable[Any], separator: str = "") -> str:
    """The texts of `values` in one string, charged before it is made."""
    texts = [text_of(value) for value in turns(values)]
    hold(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def replacing(text: str, old: str, new: str, count: int = -1) -> None:
    """Charge for `text.replace(old, new, count)`."""
    found = text.count(old) if count < 0 else min(count, text.count(old))
    hold(len(text) + found * len(new))


def searching(text: str, sought: Any) -> None:
    """Charge for a search that may compare every character of `text` with every one of `sought`."""
    spend(len(text) * (len(sought) // 8 + 1 if isinstance(sought, str) else 1))


def alike(left: Any, right: Any) -> None:
    """Charge for comparing two values."""
    if isinstance(left, str) and isinstance(right, str):
        spend(min(len(left), len(right)))
    elif isinstance(left, _CONTAINERS) and isinstance(right, _CONTAINERS):
        weigh(left if len(left) < len(right) else right)
    else:
        spend(0)


def contained(item: Any, container: Any) -> None:
    """Charge for looking for `item` in `container`."""
    if isinstance(container, dict):
        weigh(item)  # it is hashed
    elif isinstance(container, (str, bytes, range)):
        spend(len(container))
    elif isinstance(item, str) and isinstance(container, (list, tuple)):
        same = sum(len(item) for other in container if isinstance(other, str) and len(other) == len(item))
        spend(len(container) + same)
    elif isinstance(container, (list, tuple, type({}.values()), type({}.items()))):
        weigh(list(container))
    else:
        spend(0)
