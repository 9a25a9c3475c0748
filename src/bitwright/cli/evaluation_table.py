"""How `bitwright eval --reference` prints a result: the verdict in words, tables, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitwright.cli import many_steps_table, output
from bitwright.cli.intervals import decimal, divergence

if TYPE_CHECKING:
    from bitwright.measure.suite import Evaluation


def show(e: Evaluation, headline: str, words: list[str], statistics: bool) -> None:
    """Print `headline`, `words` and the measures; with `statistics`, also what llama-perplexity would print."""
    output.say_headline(e.candidate.name, headline)
    for sentence in words:
        output.say(sentence)
    print()
    base, own, f = e.base_perplexity.mean, e.perplexity.mean, e.flips
    floor = e.floor.describe(e.divergence) if e.floor else "no noise floor: the reference is a file"
    rows = [
        ("KL divergence", *divergence(e.divergence), "nats; " + floor),
        ("same top token", *decimal(e.same_top1, 2, 100), "%"),
        ("right to wrong", *decimal(f.right_to_wrong, 2, 100), "% of tokens"),
        ("wrong to right", *decimal(f.wrong_to_right, 2, 100), "% of tokens"),
        ("perplexity", f"{own:.4f}", "", f"the reference's {base:.4f}"),
        ("  over the reference's", *decimal(e.log_perplexity_ratio, 2, 100), "% (logarithm)"),
        ("bits per byte", *decimal(e.bits_per_byte, 4), ""),
    ]
    output.print_table([e.candidate.name, ">mean", "95% interval", ""], rows)
    if e.compounding:
        many_steps_table.show(e.compounding)
    for warning in e.warnings:
        output.say(f"warning: {warning}", 2, output.bad)
    if statistics:
        show_statistics(e)
    w, d = e.scores.windows, e.divergence
    output.remark(
        f"{len(w)} chunks of {w.context} tokens, {w.targets.size} tokens scored, intervals over {d.clusters} {d.of}"
    )


def show_statistics(e: Evaluation) -> None:
    """All that llama-perplexity prints, as it prints it."""
    section = ""
    for s in e.statistics:
        if s.section != section:
            section = s.section
            print(f"\n====== {section} statistics ======")
        digits = 3 if s.unit else 6
        error = f" ± {s.error:.{digits}f}" if s.error is not None else ""
        print(f"{s.name:30}: {s.value:10.{digits}f}{error}{' ' + s.unit if s.unit else ''}")
