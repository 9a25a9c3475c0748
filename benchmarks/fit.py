"""What allocation, evolution and feedback are each worth at equal bytes.

    python benchmarks/fit.py --model widened.f16.gguf --stats widened.stats.gguf -s search.txt --sizes q4_k_m,q3_k_m \\
        --arms preset,seed,evolution --write widened

A size is a recipe of llama.cpp, whose file says how many bytes all arms may take. `bitwright calibrate --hessian` makes
--stats; candidates are searched on the texts -s. A figure is the mean KL divergence from the model in nats on
WikiText-2's validation split in chunks of 512 (-f, --chunks), which no arm has seen. In brackets: the paired difference
from the preset with feedback, in percent, with a 95% interval. A second table has the other objectives of `fit`: the
mean over the worst twentieth of each chunk's tokens, and the tokens until the likeliest is another. An arm is a choice
of formats:

- preset: the recipe itself;
- uniform: one format, and the next larger one in as many tensors, drawn at random, as fit;
- errors: the exact allocation by importance-weighted squared errors of round to nearest (llama.cpp's PR 15550);
- additive: the exact allocation by the gradients of round to nearest's errors;
- seed: the exact allocation by the gradients of feedback's errors;
- evopress: evolution from uniform in the manner of EvoPress: no additive model, no surrogate, no test;
- evolution: the search from the seed.

followed by -k for K-quants and the older formats only, and by -rtn for llama.cpp's codes with importance instead of
feedback. All files are made with the same statistics and, with feedback, the same effort.

Results go to --work one by one, so an interrupted run continues where it stopped. With --keep, so do the files, for
`fit_judged.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from reporting import HERE, describe_machine, divergence, markdown, write
from wikitext import add_text_option

import bitwright as bw
from bitwright.calibration import imatrix
from bitwright.cli import output
from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.fit import problem
from bitwright.fit.allocation import allocate
from bitwright.fit.budget import Ask, budget
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.evolution import Search, evolve
from bitwright.fit.families import FAMILIES
from bitwright.fit.finish import EFFORT
from bitwright.fit.history import History
from bitwright.fit.objectives import OBJECTIVES, over_chunks
from bitwright.fit.palette import Palette
from bitwright.fit.problem import Problem
from bitwright.fit.proposals import uniform
from bitwright.fit.scoring import EngineScorer
from bitwright.fit.settings import Settings
from bitwright.measure import next_token, reference, windows
from bitwright.measure.next_token import clusters_of
from bitwright.measure.reference import ReferenceStore
from bitwright.model.architectures import outline
from bitwright.model.model import load
from bitwright.quantizers import Quantizer, quantize
from bitwright.quantizers.metadata import provenance
from bitwright.recipes import Recipe

BASE = "preset"
OLDER = ("k",)  # families of formats of the arms with -k
ROWS = 64  # of a tensor, that the arm `errors` looks at
Found = dict[str, dict[str, Any]]  # size -> arm -> bytes, kl of all scored tokens, seconds


class Bench:
    """The arms of one model at one size."""

    def __init__(self, args: argparse.Namespace, engine: Engine, size: str) -> None:
        self.args, self.engine, self.size = args, engine, size
        self.bytes = quantize(args.model, size, None, dry_run=True, stats=args.stats).bytes
        self.problems: dict[tuple[str, ...], Problem] = {}
        self.chosen: dict[str, Levels] = {}

    def problem(self, arm: str) -> Problem:
        """The problem with the formats of an arm."""
        families = self.families(arm)
        if families not in self.problems:
            self.problems[families] = problem.prepare(
                self.engine.model, Ask(size=self.bytes), self.settings(families), output.progress
            )
        return self.problems[families]

    def settings(self, families: tuple[str, ...]) -> Settings:
        """Of a search among families of formats."""
        searched = tuple((path.name, path.read_text("utf-8")) for path in self.args.search)
        return Settings(stats=self.args.stats, search=searched, palette=families, threads=self.args.threads)

    def families(self, arm: str) -> tuple[str, ...]:
        """The families of formats that an arm may use."""
        return OLDER if "k" in arm.split("-") else tuple(self.args.palette.split(","))

    def recipe(self, arm: str) -> Recipe:
        """The formats that an arm chooses."""
        choice = arm.split("-")[0]
        if choice == "preset":
            return Recipe.named(self.size)
        if choice == "errors":
            return self.by_errors(arm)
        own, formats = self.problem(arm), arm.removesuffix("-rtn")
        if formats not in self.chosen:
            self.chosen[formats] = self.levels(arm, choice, own)
        return Recipe.exact(own.choices.chosen(self.chosen[formats]))

    def by_errors(self, arm: str) -> Recipe:
        """The allocation by importance-weighted squared errors of round to nearest."""
        known = imatrix.read(self.args.stats)
        plain = Quantizer("rtn", 0, replace(known, moments=(), sensitivities={}), self.args.threads)
        model, bound = self.engine.model, Ask(size=self.bytes)
        room = budget(outline.from_gguf(model.opened()), bound, provenance(self.args.stats, known))
        choices = problem.surveyed(model, room, self.families(arm), plain, output.progress, ROWS)
        return Recipe.exact(choices.chosen(allocate(choices, room.room)))

    def without_feedback(self, own: Problem, arm: str) -> Choices:
        """The same choices with the costs of round to nearest's errors."""
        model, settings = self.engine.model, self.settings(self.families(arm))
        palette = Palette(model.opened(), Quantizer("rtn", 0, own.statistics, self.args.threads))
        with output.progress(f"{self.size}, {arm}: rounding tensors") as report:
            palette.build(own.choices.pairs, report)
        return problem.weighed(model, own.choices, palette, own.pieces, settings, output.progress)

    def levels(self, arm: str, choice: str, own: Problem) -> Levels:
        """The candidate that an arm chooses."""
        if choice == "additive":
            return allocate(self.without_feedback(own, arm), own.budget.room)
        plain = choice in ("uniform", "evopress")
        room = own.budget.room
        seed = uniform(own.choices, room, np.random.default_rng(0)) if plain else allocate(own.choices, room)
        if not choice.startswith("ev"):
            return seed
        scorer = EngineScorer(self.engine, own.palette.tensor, own.choices, own.pieces.searched)
        limits = {"evaluations": self.args.evaluations, "seconds": 60 * self.args.minutes}
        how = (Search.published if plain else Search)(**limits)
        with output.progress(f"{self.size}, {arm}") as report:
            found = evolve(own.choices, scorer, seed, room, search=how, progress=report)
        output.remark(f"{self.size}, {arm}: {came(found)}")
        return found.incumbent

    def file(self, arm: str) -> Path:
        """The file of an arm."""
        target = self.args.work / f"{self.args.model.stem}-{self.size}-{arm}.gguf"
        if not target.exists():
            method = "rtn" if arm.endswith("-rtn") else None
            quantize(self.args.model, self.recipe(arm), target, threads=self.args.threads, stats=self.args.stats,
                     method=method, effort=EFFORT)  # fmt: skip
        return target


def came(found: History) -> str:
    """How far a search came: how much it lowered the divergence on the chunks that it raced on, and on those apart."""
    far = f"{found.generation} generations, {len(found.tried)} candidates, {found.evaluations} chunks"
    if not found.best:
        return f"{far}; {sum(bool(one.apart) for one in found.tried[1:])} won a race, and none was confirmed"
    gains = []
    for where, scores in (("where it raced", found.scores), ("on chunks set apart", found.apart)):
        before, after = scores(0), scores(found.best)
        if len(before):
            gains.append(f"{over_chunks(before - after)} nats below the seed's {before.mean():.5f} {where}")
    return f"{far}; {', '.join(gains)}"


def measured(bench: Bench, arm: str, store: ReferenceStore) -> dict[str, Any]:
    """An arm's file, made and measured."""
    started = time.monotonic()
    file = bench.file(arm)
    scores = next_token.score_tokens(bw.load(file, threads=bench.args.threads), store)
    found = {"bytes": file.stat().st_size, "kl": np.round(scores.divergences, 6).ravel().tolist(),
             "same": scores.same_top.astype(int).ravel().tolist(), "seconds": time.monotonic() - started}  # fmt: skip
    if not bench.args.keep:
        file.unlink()
    return found


def by_objective(own: dict[str, Any] | None, chunks: int) -> list[str]:
    """A file's mean over the worst twentieth, and tokens until the likeliest is another."""
    if own is None:
        return ["", ""]
    kl, same = (np.array(own[key]).reshape(chunks, -1) for key in ("kl", "same"))
    tail, rate = (np.mean(list(map(OBJECTIVES[name], kl, same == 1))) for name in ("tail", "divergence"))
    return [f"{tail:.4f}", f"{1 / rate:.1f}" if rate else "never"]


def run(args: argparse.Namespace, engine: Engine, store: ReferenceStore) -> Found:
    """Measures every arm at every size that has no stored result."""
    kept = args.work / f"{args.model.stem}-{args.file.stem}-{args.chunks}.json"
    found: Found = json.loads(kept.read_text()) if kept.exists() else {}
    for size in args.sizes.split(","):
        bench = Bench(args, engine, size)
        for arm in args.arms.split(","):
            if arm not in found.setdefault(size, {}):
                found[size][arm] = own = measured(bench, arm, store)
                kept.write_text(json.dumps(found))
                kl = np.mean(own["kl"])
                output.remark(f"{size}, {arm}: {own['bytes']:,} bytes, KL {kl:.5f}, {own['seconds']:.0f} s")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a float16 GGUF")
    parser.add_argument("--stats", type=Path, required=True, help="second moments weighted by gradients")
    parser.add_argument("-s", "--search", type=Path, action="append", default=[], help="a text to search")
    parser.add_argument("--sizes", default="q6_k,q4_k_m,q3_k_m,q2_k")
    parser.add_argument("--arms", default="preset-rtn,preset,seed,evolution")
    parser.add_argument("--palette", default=",".join(FAMILIES), help="families of formats of the other arms")
    parser.add_argument("--minutes", type=float, default=8, help="of an evolution")
    parser.add_argument("--evaluations", type=int, help="chunks that an evolution scores at most")
    add_text_option(parser, "-f", "--file")
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build/fit", help="folder for results")
    parser.add_argument("--keep", action="store_true", help="keep the files too")
    parser.add_argument("--write", metavar="NAME", help="write benchmarks/results/fit-NAME.md")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    model = load(args.model)
    engine = Engine(model, RunOptions(context=512, threads=args.threads))
    text = windows.cut(model.tokenizer, args.file.read_text("utf-8"), 512, args.chunks)
    store = reference.store_reference(engine, text)
    clusters, of = clusters_of(text)
    found = run(args, engine, store)
    arms = list(dict.fromkeys(arm for own in found.values() for arm in own))
    pairs = {arm: [(own.get(arm), own.get(BASE)) for own in found.values()] for arm in arms}
    rows = [[arm, *(divergence(*pair, clusters.ravel()) for pair in pairs[arm])] for arm in arms]
    other = [[arm, *(cell for own in found.values() for cell in by_objective(own.get(arm), len(text)))] for arm in arms]
    rows.append(["bytes at most", *(f"{max(a['bytes'] for a in own.values()):,}" for own in found.values())])
    headers = ["", *(f">{size}" for size in found)]
    titles = ["", *(f">{size}, {what}" for size in found for what in ("worst twentieth", "tokens until another"))]
    output.print_table(headers, rows)
    output.print_table(titles, other)
    if args.write:
        about = f"{args.model.stem} on {args.file.name}, {len(text)} chunks, intervals over {of}."
        machine = describe_machine(args.threads)
        lines = [about, "", *markdown(headers, rows, machine), "", *markdown(titles, other, machine)]
        write(f"fit-{args.write}", f"KL divergence at equal bytes: {args.write}", "fit.py", lines)


if __name__ == "__main__":
    main()
