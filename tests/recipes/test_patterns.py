"""Patterns: what they match, and that none of them is slow."""

from __future__ import annotations

import time

import pytest

from bitwright import formats
from bitwright.errors import UsageError
from bitwright.recipes import Pattern
from bitwright.recipes.pattern import LONGEST_NAME, MOST_PATHS, paths

Q4_0 = formats.get("q4_0")


def test_a_pattern_matches_anywhere_in_the_name() -> None:
    pattern = Pattern(r"\.(\d*[13579])\.attn_k", Q4_0)  # from the README of llama-quantize
    assert [i for i in range(30) if pattern.matches(f"blk.{i}.attn_k.weight")] == list(range(1, 30, 2))
    assert not pattern.matches("blk.1.attn_v.weight")


def test_an_exact_pattern_matches_one_name() -> None:
    pattern = Pattern.exact("blk.1.attn_q.weight", Q4_0)
    assert pattern.matches("blk.1.attn_q.weight")
    assert not any(map(pattern.matches, ("blk.11.attn_q.weight", "blk.1.attn_q.weights", "blk.1xattn_q.weight")))
    with pytest.raises(UsageError, match="at most 64 characters"):
        Pattern.exact("a" * 65, Q4_0)


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        ("attn_q", 1), ("attn_.", 1), (".*", 64), (r"\*\+\|", 1), ("[*+|(]", 1), ("[]*]", 1), ("[^]*]", 1),
        (r"[\]*]", 1), ("a?", 2), ("a|b|c", 3), ("(a|b)(c|d)", 4), ("(a|b)?", 3), ("(?:.*|x)y*", 65 * 64), ("a{3}", 3),
        ("a{2,5}", 5), ("a{2,}", 64), ("a{,2}", 2), ("{}", 1), ("a{x}", 1), ("a*?b++", 64 * 64),
        (r"blk\.\d+\.ffn_.*_exps", 64 * 64), ("(?P<n>a)(?=b)", 1), ("(ab)*", 64), ("((a))*", 64),
        ("(a*)*", float("inf")), ("(a|b)+", float("inf")), ("(?:a?)+", float("inf")), ("((a{2}){2})", float("inf")),
        ("a{0}", 1),
    ],
)  # fmt: skip
def test_ways_to_match_are_counted(regex: str, expected: float) -> None:
    assert paths(regex) == expected


HOSTILE = {
    "exponential": "(a*)*!", "alternatives repeated": "(a|aa)+!", "many wildcards": ".*" * 5 + "!",
    "hidden in a comment": "(?#[)(a*)*]", "spaces before the star": "(?x)(a* )*", "behind a class": "[]](a*)*[x]",
    "behind nothing": "a{0}" + ".*" * 6, "nested counts": "((?:){99}){99}", "an endless count": "(?:){99999999}",
    "atomic": "(?>a+)+", "a huge count": "a{99999999999}", "deep": "(" * 250 + ")" * 250, "long": "x" * 513,
    "empty": "", "two lines": "a\nb", "open": "attn[", "lone surrogate": "a\udc80",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "deep"])
def test_a_hostile_pattern_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"could take too long|is not a regular expression|expected a pattern of"):
        Pattern(HOSTILE[name], Q4_0)


@pytest.mark.parametrize("regex", [".*.*.*[!]", "(a|a)" * 20 + "!", "a?" * 20 + "a" * 20 + "!", HOSTILE["deep"]])
def test_the_slowest_patterns_end(regex: str) -> None:
    assert paths(regex) <= MOST_PATHS
    started = time.monotonic()
    Pattern(regex, Q4_0).matches("a" * LONGEST_NAME)
    assert time.monotonic() - started < 30


def test_a_name_longer_than_ggmls_matches_nothing() -> None:
    assert Pattern("a", Q4_0).matches("a" * 64) and not Pattern("a", Q4_0).matches("a" * 65)
