"""The table of `bitwright eval --reference` about many steps: how errors compound while a model writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitwright.cli import output
from bitwright.cli.intervals import decimal, shares, steps

if TYPE_CHECKING:
    from bitwright.measure.rollout.compounding import Compounding
    from bitwright.measure.rollout.free_running import FreeRunning
    from bitwright.measure.rollout.horizon import FirstDivergence

Row = tuple[str, str, str, str]


def show(c: Compounding) -> None:
    """First divergence and sequences; amplification, endings and plans if they were measured."""
    tellable = "tokens until the texts can be told apart: their divergence reaches ln 2 nats"
    rows = [
        _first("first divergence", c.first_divergence),
        ("  tokens that differ", *shares(c.first_divergence.differing), "% along the reference's own text"),
        _first("  of samples", c.sampled_first_divergence),
        ("can be told apart", *steps(c.sequence.tellable, c.steps), tellable),
    ]
    if c.free:
        rows += _free_running(c.free)
    if c.local:
        rows.append(("local error", *shares(c.local[-1].local_share), "% of the divergence; the rest has accumulated"))
    print()
    output.print_table(["over many steps", ">", "95% interval", ""], rows)
    v = c.free.verification if c.free else None
    checked = f"; {v.rollouts - len(v.exceptions)} of {v.rollouts} diverge at the same token running free" if v else ""
    output.remark(f"{c.prompts} prompts in {c.clusters} clusters, {c.steps} tokens each{checked}")


def _free_running(f: FreeRunning) -> list[Row]:
    ends, last = f.endings, f.planning.rows[-1]
    reference = f"% of texts; the reference's {100 * ends.reference_loops.estimate:.1f}%"
    plans = f"% more of the plans that looked equal turn out worse than better {last.step} tokens later"
    rows = [
        ("amplification", *decimal(f.growth[-1].amplification), "times the divergence, on its own texts"),
        ("length", *shares(ends.length_ratio), "% of the reference's"),
        ("loops", *shares(ends.loops), reference),
        ("plans that go wrong", *shares(last.excess), plans),
    ]
    if ends.ended:
        rows.append(("missing ends", *shares(ends.missing_ends), f"% of {ends.ended} that the reference ended"))
    return rows


def _first(name: str, d: FirstDivergence) -> Row:
    s, above = d.survival, d.survival.above_floor
    floor = f"; {above.doubt}" if above is not None and above.doubt else ""
    ties = f", {d.near_ties} at near ties" if d.near_ties else ""
    return (name, *steps(s.median, s.horizon), f"tokens (median); {s.events} of {s.runs} diverged{ties}{floor}")
