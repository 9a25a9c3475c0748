"""A chain: a task of n steps that can be checked one by one, where each step builds on those before.

At each step the environment writes what is `given`, the model answers in one line, and both stay in the text. A rule
says which answers are right given what was said so far, so a step after an error can be judged by its own premises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True)
class ChainStep:
    """What the environment writes, and the right answers; none if earlier answers leave nothing to judge."""

    given: str
    answers: tuple[str, ...]


Rule = Callable[[int, Sequence[str]], ChainStep]


@dataclass(frozen=True)
class Chain:
    """`opening` is what comes before the first step; `rule(k, said)` is step k, counted from 0, after k answers."""

    opening: str
    steps: int
    rule: Rule = field(repr=False)

    def worked(self, steps: int | None = None) -> list[tuple[ChainStep, str]]:
        """The steps, each with its first right answer, from which the next step continues."""
        said: list[str] = []
        done = []
        for k in range(self.steps if steps is None else min(steps, self.steps)):
            step = self.rule(k, said)
            said.append(step.answers[0])
            done.append((step, said[-1]))
        return done

    def text(self, steps: int | None = None) -> str:
        """The chain done right, one step a line."""
        return self.opening + "".join(f"\n{step.given} {answer}" for step, answer in self.worked(steps))


@dataclass(frozen=True)
class Family:
    """Chains of one kind: `make(level, steps, random)`, with levels from 1 to `levels`, easiest first."""

    name: str
    task: str
    levels: int
    make: Callable[[int, int, Random], Chain]

    def chains(self, level: int, steps: int, count: int, seed: int) -> list[Chain]:
        """`count` chains; the same for the same arguments, whatever was made before."""
        return [self.make(level, steps, Random(f"{seed} {self.name} {level} {i}")) for i in range(count)]

    def prefix(self, level: int, examples: int = 2, steps: int = 6) -> str:
        """The task and worked examples; every chain of the level follows them after an empty line."""
        worked = [chain.text() for chain in self.chains(level, steps, examples, seed=-1)]
        return "\n\n".join([self.task, *worked])


def number(said: str) -> int | None:
    """The number a line begins with."""
    words = said.split()
    word = words[0].rstrip(".,;") if words else ""
    return int(word) if word.lstrip("-").isdecimal() and word.count("-") <= 1 and len(word) < 18 else None
