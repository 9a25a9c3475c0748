"""How errors compound over many steps, in tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bitwright.cli import output

if TYPE_CHECKING:
    from bitwright.measure.rollout.compounding import Compounding
    from bitwright.measure.rollout.horizon import FirstDivergence
    from bitwright.statistics.resampling import Estimate


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
            ("loops", *shares(ends.loops), f"% of texts; the reference's {100 * ends.reference_loops.value:.1f}%"),
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


def steps(e: Estimate, horizon: int) -> tuple[str, str]:
    """A number of steps, which may lie beyond those that were looked at."""
    value, low, high = (f">{horizon}" if math.isinf(x) else "?" if math.isnan(x) else f"{x:.0f}" for x in ends(e))
    return value, f"{low} to {high}"


def shares(e: Estimate) -> tuple[str, str]:
    value, low, high = (f"{100 * x:.1f}" for x in ends(e))
    return value, f"{low} to {high}"


def plain(e: Estimate) -> tuple[str, str]:
    value, low, high = (f"{x:.2f}" for x in ends(e))
    return value, f"{low} to {high}"


def ends(e: Estimate) -> tuple[float, float, float]:
    return e.value, e.low, e.high
