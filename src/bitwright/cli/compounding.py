"""How errors compound over many steps, in tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from bitwright.cli import output

if TYPE_CHECKING:
    from bitwright.measure.rollout.compounding import Compounding
    from bitwright.measure.rollout.horizon import FirstDivergence
    from bitwright.statistics.interval import Interval


def show(c: Compounding) -> None:
    """First divergence, sequences and, where they were measured, growth, memory and endings."""
    rows = [
        first("first divergence", c.first_divergence),
        ("  tokens that differ", *shares(c.first_divergence.differing), "% along the reference's own text"),
        first("  of samples", c.sampled_first_divergence),
        ("can be told apart", *steps(c.sequence.tellable, c.steps), "tokens: the texts' divergence reaches ln 2 nats"),
    ]
    if c.free:
        ends = c.free.endings
        rows += [
            ("amplification", *plain(c.free.growth[-1].amplification), "times the divergence on its own texts"),
            ("length", *shares(ends.length_ratio), "% of the reference's"),
            ("loops", *shares(ends.loops), f"% of texts; the reference's {100 * ends.reference_loops.estimate:.1f}%"),
        ]
        last = c.free.planning.rows[-1]
        rows.append(("plans that go wrong", *shares(last.excess), f"% more of those that looked alike are worse than "
                     f"better {last.step} tokens on"))  # fmt: skip
        if ends.ended:
            rows.append(("missing ends", *shares(ends.missing_ends), f"% of {ends.ended} that the reference ended"))
    if c.local:
        rows.append(("local error", *shares(c.local[-1].local_share), "% of the divergence; the rest has accumulated"))
    print()
    output.print_table(["over many steps", ">", "95% interval", ""], rows)
    v = c.free.verification if c.free else None
    checked = f"; {v.rollouts - len(v.exceptions)} of {v.rollouts} part where running free does" if v else ""
    output.remark(f"{c.prompts} prompts in {c.clusters} clusters, {c.steps} tokens each{checked}")


def first(name: str, d: FirstDivergence) -> tuple[str, str, str, str]:
    s, above = d.survival, d.survival.above_floor
    floor = "" if above is None or above.distinguishable else "; not distinguishable from the reference's own noise"
    ties = f", {d.near_ties} at near ties" if d.near_ties else ""
    return (name, *steps(s.median, s.horizon), f"tokens (median); {s.events} of {s.runs} parted{ties}{floor}")


def steps(i: Interval, horizon: int) -> tuple[str, str]:
    """A number of steps, which may lie beyond the horizon."""
    return spread(i, lambda x: f">{horizon}" if math.isinf(x) else f"{x:.0f}")


def shares(i: Interval) -> tuple[str, str]:
    return spread(i, lambda x: f"{100 * x:.1f}")


def plain(i: Interval) -> tuple[str, str]:
    return spread(i, lambda x: f"{x:.2f}")


def spread(i: Interval, text: Callable[[float], str]) -> tuple[str, str]:
    """The estimate and its interval, in words where there is none."""
    if math.isnan(i.estimate):
        return "?", ""
    return text(i.estimate), f"{text(i.ends[0])} to {text(i.ends[1])}" if i.ends else f"too few {i.of}"
