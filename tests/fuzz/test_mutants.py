"""Damaged model files are refused, or run to an end, in this process; `benchmarks/mutants.py` runs thousands."""

from __future__ import annotations

from collections import Counter

import pytest
from mutants import Mutants, outcome

from bitwright.errors import UsageError

FEW = 40


def test_mutants_are_refused_or_run() -> None:
    made, seen = Mutants(), Counter()
    for seed in range(FEW):
        try:
            content = made.make(seed)
        except UsageError:  # GGUF cannot hold it
            continue
        seen[outcome(content)] += 1
    assert seen["ran"] + seen["stopped"] > FEW // 4 and seen["refused"] > FEW // 10


def test_a_mutant_is_always_the_same() -> None:
    assert Mutants().make(3) == Mutants().make(3) != Mutants().make(4)


def test_what_is_no_bitwright_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mutants.Model.from_gguf", lambda file: {}["config"])
    with pytest.raises(KeyError):
        outcome(Mutants().make(next(seed for seed in range(FEW) if _opens(seed))))


def _opens(seed: int) -> bool:
    try:
        return outcome(Mutants().make(seed)) != "refused"
    except (UsageError, KeyError):
        return True
