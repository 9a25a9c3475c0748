"""An agent on a grid: it sees its position and must choose a move that brings it nearer to its goal."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

from bitwright.measure.chains.chain import Chain, ChainStep

MOVES = {"east": (0, 1), "south": (1, 0), "west": (0, -1), "north": (-1, 0)}
Cell = tuple[int, int]


def grid(level: int, steps: int, random: Random) -> Chain:
    """A corridor, an open field, then walls, with more walls and longer ways by level; one step per move on the way, at
    most `steps`. If several moves are equally good, each is right."""
    rows, columns = [(1, 9), (4, 4), (5, 5), (6, 6), (8, 8)][level - 1]
    walls = [0, 0, 0.2, 0.3, 0.35][level - 1]
    while True:
        cells = {(r, c) for r in range(rows) for c in range(columns) if random.random() >= walls}
        if len(cells) < 2:
            continue
        start, goal = random.sample(sorted(cells), 2)
        distances = distances_to(goal, cells)
        if distances.get(start, 0) >= (2 if level < 3 else level):
            break
    marks = dict.fromkeys(cells, ".") | {start: "A", goal: "G"}
    drawn = ["".join(marks.get((r, c), "#") for c in range(columns)) for r in range(rows)]

    def rule(k: int, said: Sequence[str]) -> ChainStep:
        at = start
        for line in said:
            at = moved(at, line, cells)
        better = [name for name in MOVES if distances.get(moved(at, name, cells), distances[at]) < distances[at]]
        return ChainStep(f"A {at[0] + 1},{at[1] + 1} G {goal[0] + 1},{goal[1] + 1}: go", tuple(better))

    return Chain("\n".join(drawn), min(steps, distances[start]), rule)


def distances_to(goal: Cell, cells: set[Cell]) -> dict[Cell, int]:
    """Steps to the goal from every cell that can reach it."""
    found, waiting = {goal: 0}, deque([goal])
    while waiting:
        r, c = waiting.popleft()
        for dr, dc in MOVES.values():
            near = (r + dr, c + dc)
            if near in cells and near not in found:
                found[near] = found[r, c] + 1
                waiting.append(near)
    return found


def moved(at: Cell, said: str, cells: set[Cell]) -> Cell:
    """Where a move leads; a move into a wall or off the grid, or an invalid one, stays in place."""
    word = said.split()[0].strip(".,;!").lower() if said.split() else ""
    dr, dc = MOVES.get(word, (0, 0))
    return (at[0] + dr, at[1] + dc) if (at[0] + dr, at[1] + dc) in cells else at
