"""Where KL divergence and the horizon rank files differently, on the same text.

    nice python benchmarks/horizon.py --model widened.f16.gguf --model rotated.f16.gguf --write

Each recipe makes two files of each model: by round to nearest, which gives llama.cpp's bytes, and by bitwright's
search. Both are measured on the horizon suite (docs/horizon.md): the KL divergence and the aligned tokens come from
the same steps of the same texts. `--prompts N` takes the first N prompts of each kind. What is done is kept in --work,
so an interrupted run continues, and a longer list of recipes or models adds to it. `--done` shows what is done, and
measures nothing more.

A pair of files is ranked differently if one has the lower KL and the other the longer horizon. An order is sure if the
95% interval of the paired difference, over prompts, leaves out zero.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from reporting import HERE, describe_machine, markdown, write

import bitwright as bw
from bitwright.cli import output
from bitwright.cli.intervals import decimal
from bitwright.engine import Engine
from bitwright.measure.horizon import endings, original, prompts, score
from bitwright.measure.horizon.endings import Ending
from bitwright.measure.horizon.original import STEPS, Original
from bitwright.measure.rollout.writing import Rollout
from bitwright.quantizers import quantize
from bitwright.statistics import percentile, shares, studentized
from bitwright.statistics.interval import Interval

RECIPES = "q8_0,q6_k,q5_k_m,q4_k_m,q4_0,q3_k_m,q2_k"
METHODS = {"rtn": "llama.cpp's", "search": "bitwright's"}
ENDS = ["file", "method", "end of a", ">original's probability", ">the file's", ">difference", "95% interval",
        ">ends there"]  # fmt: skip
HEADERS = ["file", "method", ">bits/weight", ">KL, nats", "95% interval", ">aligned of 32", "95% interval",
           ">identical", ">same top-1", ">rank by KL", ">by horizon"]  # fmt: skip


@dataclass
class Row:
    """One file: by prompt, its mean divergence, aligned tokens, and share of steps with the same top token."""

    recipe: str
    method: str
    bits: float
    divergence: np.ndarray
    aligned: np.ndarray
    same: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.recipe} ({METHODS.get(self.method, self.method)})"

    def mean(self, of: str) -> Interval:
        return over_prompts(getattr(self, of))


def over_prompts(values: np.ndarray) -> Interval:
    """The mean of one value per prompt, with its interval."""
    return studentized.mean(values, np.arange(len(values)), "prompts")


def measured(base: Original, recipe: str, method: str, source: Path, arguments: argparse.Namespace) -> Row | None:
    """One file, made and measured unless that was done before; None if it is not done and nothing is to be measured."""
    work = arguments.work
    kept = work / f"{source.stem}-{base.ids_sha256[:12]}-{recipe}-{method}.npz"
    if not kept.exists() and arguments.done:
        return None
    if not kept.exists():
        started, file = time.monotonic(), work / "candidate.gguf"
        quantize(source, recipe, file, method=method, threads=base.engine.threads)
        engine = bw.load(file, threads=base.engine.threads)
        with output.progress(f"{source.stem}: {recipe}, {method}") as report:
            readings = score.score(base, engine, report).readings
        same = np.array([r.chosen == r.rollout.tokens for r in readings]).mean(1)
        part = kept.with_suffix(".part.npz")
        np.savez(part, bits=bits(engine), divergence=score.divergences(readings).mean(1), same=same,
                 aligned=score.aligned(readings))  # fmt: skip
        part.rename(kept)
        file.unlink()
        output.remark(f"{source.stem}: {recipe}, {method}: {time.monotonic() - started:.0f} s")
    with np.load(kept) as found:
        return Row(recipe, method, float(found["bits"]), *(found[name] for name in ("divergence", "aligned", "same")))


def bits(engine: Engine) -> float:
    """Stored bits per weight."""
    tensors = engine.model.file.tensors.values()
    return 8 * sum(t.nbytes for t in tensors) / sum(math.prod(t.shape) for t in tensors)


def cells(row: Row, rows: list[Row]) -> list[str]:
    """A line of a model's table."""
    kl, aligned = row.mean("divergence"), percentile.mean(row.aligned, np.arange(len(row.aligned)), "prompts")
    by_kl = 1 + sum(other.mean("divergence").estimate < kl.estimate for other in rows)
    by_horizon = 1 + sum(other.mean("aligned").estimate > aligned.estimate for other in rows)
    identical = shares.share(int((row.aligned == STEPS).sum()), len(row.aligned), "prompts").estimate
    mark = "" if by_kl == by_horizon else " ←"
    return [row.recipe, METHODS[row.method], f"{row.bits:.2f}", *decimal(kl, 5), *decimal(aligned, 1),
            f"{100 * identical:.0f}%", f"{100 * row.same.mean():.1f}%", str(by_kl), f"{by_horizon}{mark}"]  # fmt: skip


@dataclass
class Pair:
    """Two files of one model, the lower KL first; differences are of the first from the second."""

    lower: Row
    other: Row
    divergence: Interval
    aligned: Interval

    @property
    def reversed(self) -> bool:
        """Whether the horizon ranks them the other way."""
        return self.aligned.estimate < 0

    @property
    def sure(self) -> list[str]:
        """The orders that the intervals leave no doubt about."""
        orders = (("KL", self.divergence), ("horizon", self.aligned))
        return [name for name, difference in orders if difference.above(0) or difference.below(0)]


def pairs(rows: list[Row]) -> list[Pair]:
    """All pairs of files that differ."""
    found = []
    for a, b in itertools.combinations(sorted(rows, key=lambda row: float(row.divergence.mean())), 2):
        if not np.array_equal(a.divergence, b.divergence):
            difference = (over_prompts(getattr(a, of) - getattr(b, of)) for of in ("divergence", "aligned"))
            found.append(Pair(a, b, *difference))
    return found


def counted(found: list[Pair]) -> str:
    """How many pairs the two measures rank differently."""
    turned = [pair for pair in found if pair.reversed]
    both, sure = (sum(len(pair.sure) == 2 for pair in of) for of in (turned, found))
    by_kl, by_horizon = (sum(name in pair.sure for pair in found) for name in ("KL", "horizon"))
    sure_of = f"The order by KL is sure in {by_kl} pairs, that by horizon in {by_horizon}."
    both_sure = f"Both are sure in {sure}, and in {both} of these they differ."
    return f"KL and horizon rank {len(turned)} of {len(found)} pairs differently. {sure_of} {both_sure}"


def meaning(found: list[Pair]) -> str:
    """What the counts allow to say."""
    known = [pair for pair in found if len(pair.sure) == 2]
    if any(pair.reversed for pair in known):
        return "So there are files that the two measures rank differently beyond doubt, on the same text."
    return ("So no pair is ranked differently beyond doubt: where the estimates disagree, at least one of the measures "
            "cannot tell the two files apart with so many prompts.")  # fmt: skip


def turned(found: list[Pair]) -> list[str]:
    """A line for each pair that is ranked differently."""
    return [
        f"- {pair.lower.name} has the lower KL ({', '.join(decimal(pair.divergence, 5))}), {pair.other.name} the "
        f"longer horizon ({', '.join(decimal(pair.aligned, 2))} tokens); sure: {' and '.join(pair.sure) or 'neither'}"
        for pair in found
        if pair.reversed
    ]


def ends(source: Path, arguments: argparse.Namespace) -> list[str]:
    """A table of the probability of ending a turn where the original ends it; empty without a chat template."""
    engine, texts = bw.load(source, threads=arguments.threads), list[Rollout]()
    rows = []
    for recipe, method in itertools.product(arguments.recipes.split(","), arguments.methods.split(",")):
        kept = arguments.work / f"{source.stem}-{recipe}-{method}.ends.json"
        if not kept.exists() and not arguments.done:
            texts = texts or endings.answers(engine)
            file = arguments.work / "answers.gguf"
            quantize(source, recipe, file, method=method, threads=arguments.threads)
            found = endings.judged(texts, bw.load(file, threads=arguments.threads))
            kept.write_text(json.dumps([ended(recipe, method, one) for one in found]))
            file.unlink()
        rows += json.loads(kept.read_text()) if kept.exists() else []
    _, _, *table = markdown(ENDS, rows, {})
    return [f"## {source.stem}: where answers end", "", *table, ""] if rows else []


def ended(recipe: str, method: str, e: Ending) -> list[str]:
    """A line of the table of ends."""
    return [recipe, METHODS[method], f"{e.what} ({e.places} of {e.asked})", f"{e.original.estimate:.3f}",
            f"{e.candidate.estimate:.3f}", *decimal(e.difference, 3), f"{100 * e.ends.estimate:.0f}%"]  # fmt: skip


def floors(base: Original) -> list[str]:
    """The original against itself."""
    lines = []
    for name, readings in base.floors.items():
        own = score.closeness(readings)
        lines.append(f"- {name}: KL {own.divergence.estimate:.2g} nats, {', '.join(decimal(own.aligned, 1))} aligned "
                     f"tokens, {100 * own.identical.estimate:.0f}% identical")  # fmt: skip
    return lines


@dataclass
class Section:
    """All about one model."""

    lines: list[str]
    pairs: list[Pair]


def section(source: Path, each: int, arguments: argparse.Namespace) -> Section:
    """A model's table, its pairs and its floors, from the first `each` prompts of each kind."""
    engine = bw.load(source, threads=arguments.threads)
    with output.progress(f"{source.stem} writes") as report:
        base = original.write(engine, prompts.first(each), report)
    wanted = itertools.product(arguments.recipes.split(","), arguments.methods.split(","))
    rows = [row for recipe, method in wanted if (row := measured(base, recipe, method, source, arguments))]
    found = pairs(rows)
    prompted = "through its chat template" if engine.chat_template else "as plain turns, since it has no chat template"
    used = f"the first {each} prompts of each kind, {len(base.items)} in all"
    about = f"The original is `{source.name}` ({bits(engine):.2f} bits per weight), prompted {prompted}: {used}."
    _, _, *table = markdown(HEADERS, [cells(row, rows) for row in rows], {})
    title = "The original against itself, computed otherwise (not subtracted from the table):"
    parts = [[f"## {source.stem}"], [about], table, [counted(found)], turned(found), [title, "", *floors(base)]]
    return Section([line for part in parts if part for line in (*part, "")], found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, action="append", required=True, help="a GGUF file; repeatable")
    parser.add_argument("--recipes", default=RECIPES)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--prompts", type=int, action="append",
                        help="prompts of each of the five kinds; once for all models, or once for each")  # fmt: skip
    parser.add_argument("--threads", type=int)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build/horizon", help="where results are kept")
    parser.add_argument("--done", action="store_true", help="show what is done, and measure nothing more")
    parser.add_argument("--ends", type=Path, action="append", default=[], help="also the ends of this model's answers")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/horizon.md")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    each = (arguments.prompts or [prompts.EACH]) * (1 if len(arguments.prompts or []) > 1 else len(arguments.model))
    if len(each) != len(arguments.model):
        parser.error("expected --prompts once, or once for each --model")
    sections = [section(*model, arguments) for model in zip(arguments.model, each, strict=True)]
    machine = describe_machine(bw.load(arguments.model[0], threads=arguments.threads).threads)
    found = [pair for s in sections for pair in s.pairs]
    lines = [
        ", ".join(f"{key} {value}" for key, value in machine.items()),
        "",
        f"Models: {len(sections)}. Prompts of {prompts.VERSION}, {STEPS} tokens after each, no calibration data.",
        "",
        f"Over all models: {counted(found)} {meaning(found)}",
        "",
        "A pair is two different files of one model. An order is sure if the 95% interval of the paired difference "
        "over prompts leaves out zero; of pairs of equal files, one in twenty would look sure.",
        "",
        *(line for s in sections for line in s.lines),
        *(line for source in arguments.ends for line in ends(source, arguments)),
    ]
    print("\n".join(lines))
    if arguments.write:
        write("horizon", "KL divergence and horizon on the same text", "horizon.py", lines)


if __name__ == "__main__":
    main()
