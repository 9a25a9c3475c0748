"""Every family's answers, computed again from the text alone."""

from __future__ import annotations

import json
import re

import pytest

from bitwright.measure.chains.chain import Chain, number
from bitwright.measure.chains.families import FAMILIES, PAIRS, WORDS

ALL = [(name, level) for name, family in FAMILIES.items() for level in range(1, family.levels + 1)]


def lines(chain: Chain) -> list[tuple[str, str]]:
    """(given, answer) of every step, from the text of a correct chain."""
    text = chain.text()
    assert text.startswith(chain.opening)
    given = [step.given for step, _ in chain.worked()]
    rows = text.removeprefix(chain.opening + "\n").split("\n")
    assert all(row.startswith(own + " ") for row, own in zip(rows, given, strict=True))
    return [(own, row.removeprefix(own + " ")) for row, own in zip(rows, given, strict=True)]


def check_copying(opening: str, rows: list[tuple[str, str]]) -> None:
    source = opening.split("\n")[0]
    if re.search(r"[:,] [a-zA-Z0-9]*[a-zA-Z]", source):  # strings without quotes are not JSON
        assert all(f"{given} {answer}" in source for given, answer in rows)
    else:
        assert json.loads(source) == {json.loads(given[:-1]): json.loads(answer) for given, answer in rows}


def check_sum(opening: str, rows: list[tuple[str, str]]) -> None:
    total = int(opening.split()[1])
    for given, answer in rows:
        total = eval(f"{total} {given[:-1]}")
        assert int(answer) == total


def check_variables(opening: str, rows: list[tuple[str, str]]) -> None:
    values: dict[str, int] = {}
    exec(opening, values)
    for given, answer in rows:
        name, terms, _ = given.split(" = ") if given.count(" = ") == 2 else [*given.split(" = "), ""]
        values[name] = eval(terms.removesuffix(" ="), values)
        assert int(answer) == values[name]


def check_brackets(opening: str, rows: list[tuple[str, str]]) -> None:
    read = ""
    for given, answer in rows:
        read += given.split()[1]
        left = read
        while (shorter := re.sub(r"\(\)|\[\]|\{\}|<>", "", left)) != left:
            left = shorter
        assert "".join(answer.split()).replace("none", "") == left and set(left) <= set(PAIRS)


def check_pointers(opening: str, rows: list[tuple[str, str]]) -> None:
    arrows = dict(re.findall(r"(\w) to (\w)", opening))
    at = opening[-1]
    for _, answer in rows:
        at = arrows[at]
        assert answer == at


def check_edits(opening: str, rows: list[tuple[str, str]]) -> None:
    items = opening.split()[1:]
    for given, answer in rows:
        match given[:-1].split():
            case "add", word:
                items.append(word)
            case "drop", "first":
                items.pop(0)
            case "drop", "last":
                items.pop()
            case ["reverse"]:
                items.reverse()
            case ["sort"]:
                items.sort()
        assert answer.split() == items and items and set(items) <= set(WORDS)


def check_grid(opening: str, rows: list[tuple[str, str]]) -> None:
    """The moves lead from A to G around the walls, and no path is shorter (found by flooding)."""
    world = {(r, c): mark for r, line in enumerate(opening.split("\n")) for c, mark in enumerate(line)}
    place = {mark: cell for cell, mark in world.items()}
    flooded, turns = {place["A"]}, 0
    while place["G"] not in flooded:
        near = {(r + a, c + b) for r, c in flooded for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))}
        flooded |= {cell for cell in near if world.get(cell, "#") != "#"}
        turns += 1
    r, c = place["A"]
    for given, answer in rows:
        assert given == f"A {r + 1},{c + 1} G {place['G'][0] + 1},{place['G'][1] + 1}: go"
        a, b = {"east": (0, 1), "south": (1, 0), "west": (0, -1), "north": (-1, 0)}[answer]
        r, c = r + a, c + b
        assert world[r, c] != "#"
    assert len(rows) == min(turns, 12) and (turns > 12 or (r, c) == place["G"])


CHECKS = {
    "copying": check_copying, "running sum": check_sum, "variables": check_variables, "brackets": check_brackets,
    "pointers": check_pointers, "list edits": check_edits, "grid": check_grid,
}  # fmt: skip


@pytest.mark.parametrize(("name", "level"), ALL)
def test_answers_are_right(name: str, level: int) -> None:
    for chain in FAMILIES[name].chains(level, 12, 20, seed=3):
        CHECKS[name](chain.opening, lines(chain))
        assert all(step.answers for step, _ in chain.worked())


@pytest.mark.parametrize(("name", "level"), ALL)
def test_chains_are_drawn_from_the_seed(name: str, level: int) -> None:
    family = FAMILIES[name]
    texts = [chain.text() for chain in family.chains(level, 12, 12, seed=3)]
    assert texts == [chain.text() for chain in family.chains(level, 12, 12, seed=3)]
    assert texts[:5] == [chain.text() for chain in family.chains(level, 12, 5, seed=3)]
    assert texts != [chain.text() for chain in family.chains(level, 12, 12, seed=4)]
    assert len(set(texts)) >= 5
    assert family.task in family.prefix(level)
    assert level == 1 or not any(text in family.prefix(level) for text in texts)  # the easiest may be seen before


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("running sum", "nothing", ()),
        ("running sum", "100", ("101",)),
        ("brackets", "x y", ()),
        ("brackets", "none", ("(",)),
        ("pointers", "zebra", ()),
        ("list edits", "apple river", ("apple",)),
        ("list edits", "unknown words", ()),
        ("variables", "7", ("7",)),
    ],
)
def test_a_step_is_judged_by_its_own_premises(name: str, said: str, expected: tuple[str, ...]) -> None:
    """Also after a wrong answer; from some answers nothing follows."""
    found = set()
    for chain in FAMILIES[name].chains(1, 12, 40, seed=1):
        found.add(chain.rule(1, [said]).answers)
    assert expected in found and (expected or found == {()})


def test_a_walker_into_a_wall_stays_where_it_is() -> None:
    chain = next(c for c in FAMILIES["grid"].chains(1, 12, 20, seed=0) if c.worked()[0][1] == "east")
    for wrong in ("north", "", "up up up"):
        assert chain.rule(1, [wrong]).given == chain.rule(0, []).given
    assert chain.rule(1, ["East."]).given == chain.worked()[1][0].given


@pytest.mark.parametrize(
    ("said", "value"),
    [("12", 12), ("-3.", -3), ("7 apples", 7), ("", None), ("x", None), ("--3", None), ("9" * 30, None)],
)
def test_numbers(said: str, value: int | None) -> None:
    assert number(said) == value
