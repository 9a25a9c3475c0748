"""The families of chains, each from levels a 100-million-parameter model can start to levels hard for 30 billion.

Names, numbers and orders are drawn at random, so nothing can be memorized.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from random import Random

from bitwright.measure.chains.chain import Chain, ChainStep, Family, number
from bitwright.measure.chains.grid import grid

WORDS = ["apple", "river", "stone", "cloud", "tiger", "music", "paper", "green", "seven", "light", "ocean", "chair",
         "bread", "house", "north", "plant", "sugar", "train", "field", "glass"]  # fmt: skip
PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}


def copying(level: int, steps: int, random: Random) -> Chain:
    """The values of a JSON object, one by one; longer and less regular by level."""

    def value() -> str:
        match level:
            case 1:
                return str(random.randrange(10))
            case 2:
                return f'"{random.choice(WORDS)}"'
            case 3:
                return str(random.randrange(10**7, 10**8))
            case 4:
                return "".join(random.choices(string.ascii_letters + string.digits, k=12))
            case _:
                return "[" + ", ".join(str(random.randrange(-999, 1000)) for _ in range(6)) + "]"

    names = random.sample([a + b for a in string.ascii_lowercase for b in "aeiou"], steps)
    pairs = [(f'"{name}":', value()) for name in names]
    body = ", ".join(f"{name} {own}" for name, own in pairs)
    return Chain("{" + body + "}\nCopy:", steps, lambda k, said: ChainStep(pairs[k][0], (pairs[k][1],)))


def running_sum(level: int, steps: int, random: Random) -> Chain:
    """A total, changed step by step."""
    low, high = [(1, 1), (1, 3), (1, 9), (-30, 30), (-999, 999)][level - 1]
    start = random.randrange(1, 10) if level < 4 else random.randrange(100, 1000)
    changes = [random.choice([n for n in range(low, high + 1) if n]) for _ in range(steps)]

    def rule(k: int, said: Sequence[str]) -> ChainStep:
        total = number(said[-1]) if said else start
        sign, size = "+-"[changes[k] < 0], abs(changes[k])
        return ChainStep(f"{sign} {size} =", () if total is None else (str(total + changes[k]),))

    return Chain(f"Total {start}", steps, rule)


def variables(level: int, steps: int, random: Random) -> Chain:
    """Variables computed from earlier ones: the last, any, any plus a number, two, two of three."""
    names = [a + str(b) for b in range(10) for a in string.ascii_lowercase]
    start = random.randrange(2, 10)
    sources = [[k, *(random.randrange(k + 1) for _ in range(2))] for k in range(steps)]
    plus = [random.randrange(1, 4) for _ in range(steps)]

    def rule(k: int, said: Sequence[str]) -> ChainStep:
        values = [start, *(number(line) for line in said)]
        last, one, other = sources[k]
        used = {1: [last], 2: [one], 3: [one]}.get(level, [one, other])
        added = [] if level in (1, 2, 4) else [plus[k]]
        terms = " + ".join([*(names[i] for i in used), *map(str, added)])
        known = [values[i] for i in used]
        total = sum(v for v in known if v is not None) + sum(added)
        return ChainStep(f"{names[k + 1]} = {terms} =", () if None in known else (str(total),))

    return Chain(f"{names[0]} = {start}", steps, rule)


def brackets(level: int, steps: int, random: Random) -> Chain:
    """Brackets are read one by one; the answer lists those still open."""
    kinds, depth = list(PAIRS)[: min(level, 4)], level + 1
    openings: list[str] = []
    read = []
    for _ in range(steps):
        if len(openings) < depth and (not openings or random.random() < 0.6):
            openings.append(random.choice(kinds))
            read.append(openings[-1])
        else:
            read.append(PAIRS[openings.pop()])

    def rule(k: int, said: Sequence[str]) -> ChainStep:
        stack = said[-1].split() if said else []
        stack = [] if stack == ["none"] else stack
        if any(symbol not in PAIRS for symbol in stack):
            return ChainStep(f"read {read[k]} open:", ())
        if read[k] in PAIRS:
            stack = [*stack, read[k]]
        elif stack and PAIRS[stack[-1]] == read[k]:
            stack = stack[:-1]
        else:
            return ChainStep(f"read {read[k]} open:", ())
        return ChainStep(f"read {read[k]} open:", (" ".join(stack) or "none",))

    return Chain("Start", steps, rule)


def pointers(level: int, steps: int, random: Random) -> Chain:
    """Follow arrows through a table, each from where the last answer led."""
    size = [3, 4, 8, 16, 26][level - 1]
    letters = string.ascii_uppercase[:size]
    cycle = random.sample(letters, size)
    follows = dict(zip(cycle, cycle[1:] + cycle[:1], strict=True))
    rows = sorted(follows) if level < 3 else random.sample(letters, size)
    start = cycle[0]

    def rule(k: int, said: Sequence[str]) -> ChainStep:
        at = said[-1].strip()[:1] if said else start
        return ChainStep("next:", (follows[at],) if at in follows else ())

    return Chain("; ".join(f"{a} to {follows[a]}" for a in rows) + f"\nstart: {start}", steps, rule)


EDITS: dict[str, Callable[[list[str]], list[str]]] = {
    "drop last": lambda items: items[:-1],
    "drop first": lambda items: items[1:],
    "reverse": lambda items: items[::-1],
    "sort": sorted,
}


def list_edits(level: int, steps: int, random: Random) -> Chain:
    """A list of words, edited step by step; more kinds of edits and longer lists by level."""
    kinds, longest = list(EDITS)[:level], [2, 3, 4, 6, 9][level - 1]
    first = items = random.sample(WORDS, level)
    edits = []
    for _ in range(steps):
        grow = len(items) == 1 or (len(items) < longest and random.random() < 0.5)
        edits.append(f"add {random.choice(WORDS)}" if grow else random.choice(kinds))
        items = edit(items, edits[-1])

    def rule(k: int, said: Sequence[str]) -> ChainStep:
        before = said[-1].split() if said else first
        sane = 0 < len(before) <= 2 * longest and all(item in WORDS for item in before)
        after = edit(before, edits[k]) if sane else []
        return ChainStep(f"{edits[k]}:", (" ".join(after),) if after else ())

    return Chain(f"list: {' '.join(first)}", steps, rule)


def edit(items: list[str], what: str) -> list[str]:
    """`items` after one edit."""
    return [*items, what.split()[1]] if what.startswith("add ") else EDITS[what](items)


FAMILIES = {
    family.name: family
    for family in (
        Family("copying", "Copy the values of each object.", 5, copying),
        Family("running sum", "Keep the total.", 5, running_sum),
        Family("variables", "Work out each variable.", 5, variables),
        Family("brackets", "Say which brackets are open.", 5, brackets),
        Family("pointers", "Follow the arrows.", 5, pointers),
        Family("list edits", "Edit the list.", 5, list_edits),
        Family("grid", "Lead A to G. Do not walk into #.", 5, grid),
    )
}
