"""KL divergence and the median horizon of each file, and where they rank files differently.

    python benchmarks/kl_and_horizon.py --model widened.f16.gguf --recipes q8_0,q6_k,q4_k_m,q2_k --save widened

Each recipe makes a file from the model, which is the reference. KL is the mean over single tokens of WikiText-2
(llama.cpp's chunks, spread over the text). The horizon is how many tokens of the reference's greedy text the file would
also have written, from prompts of the same text; one pass over the text gives the same result as running free. The
bootstrap draws the same documents for both files of a pair.

Horizons are ranked by their restricted mean (medians are whole numbers and often equal). A pair is ranked differently
if one file has the lower KL and the other the longer horizon. "sure" names the order that the interval leaves no doubt
about: that of the KL (by the difference) or of the horizon (by the ratio of half-lives).
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reporting import describe_machine, save
from wikitext import add_text_option

import bitwright as bw
from bitwright.cli import output
from bitwright.cli.intervals import spread, steps
from bitwright.engine import Engine
from bitwright.measure import next_token, reference, windows
from bitwright.measure.next_token import TokenScores
from bitwright.measure.rollout import horizon, reading, writing
from bitwright.measure.rollout.baseline import otherwise, prompts_of
from bitwright.measure.rollout.horizon import FirstDivergence
from bitwright.quantizers import quantize
from bitwright.statistics import studentized, survival
from bitwright.statistics.survival import Runs

HERE = Path(__file__).parent
RECIPES = "q8_0,q6_k,q5_k_m,q5_0,q4_k_m,q4_1,q4_0,q3_k_m,q3_k_s,q2_k"
HEADERS = ["recipe", ">bits/weight", ">KL, nats", "95% interval", ">median horizon, tokens", "95% interval",
           ">half-life", ">tokens that differ", ">rank by KL", ">by horizon"]  # fmt: skip


@dataclass
class Row:
    recipe: str
    bits: float
    scores: TokenScores
    first: FirstDivergence
    runs: Runs

    @property
    def divergence(self) -> float:
        return float(self.scores.divergences.mean())

    @property
    def horizon(self) -> float:
        """The restricted mean, which ranks horizons: medians are whole numbers and often equal."""
        return self.first.survival.restricted_mean.estimate


class Reference:
    """The model's predictions for the text's chunks, and what it writes from the prompts."""

    def __init__(self, path: Path, folder: Path, arguments: argparse.Namespace) -> None:
        engine, text = bw.load(path, context=512), arguments.text.read_text(encoding="utf-8")
        cut = windows.cut(engine.tokenizer, text, 512, arguments.chunks, spread_out=True)
        with output.progress("reading the text") as report:
            self.store = reference.store_reference(engine, cut, folder, progress=report)
        prompts = prompts_of(engine.tokenizer, text, arguments.prompts, arguments.prompt_tokens)
        self.steps, self.engine = arguments.steps, writing.fitted(engine, arguments.prompt_tokens + arguments.steps)
        with output.progress("writing") as report:
            self.rollouts = writing.write(self.engine, prompts, self.steps, progress=report)
        self.floor = reading.read_all(otherwise(self.engine), self.rollouts, rounded=True)

    def measure(self, recipe: str, file: Path) -> Row:
        engine = bw.load(file, context=512)
        with output.progress(f"{recipe}: scoring") as report:
            scores = next_token.score_tokens(engine, self.store, report)
        with output.progress(f"{recipe}: reading") as report:
            readings = reading.read_all(writing.fitted(engine, self.engine.context), self.rollouts, report)
        first = horizon.first_divergence(readings, self.floor, self.steps)
        return Row(recipe, bits(engine), scores, first, horizon.runs_of(readings))


def bits(engine: Engine) -> float:
    """Stored bits of the whole file per parameter."""
    tensors = engine.model.file.tensors.values()
    return 8 * sum(t.nbytes for t in tensors) / sum(math.prod(t.shape) for t in tensors)


def cells(row: Row, rows: list[Row]) -> list[str]:
    kl, s = row.scores.mean(row.scores.divergences), row.first.survival
    by_kl = 1 + sum(other.divergence < row.divergence for other in rows)
    by_horizon = 1 + sum(other.horizon > row.horizon for other in rows)
    mark = "" if by_kl == by_horizon else " ←"
    return [row.recipe, f"{row.bits:.2f}", *spread(kl, lambda x: f"{x:.5f}"),
            *steps(s.median, s.horizon), f"{s.half_life.estimate:.0f}",
            f"{100 * row.first.differing.estimate:.1f}%", str(by_kl), f"{by_horizon}{mark}"]  # fmt: skip


def differently_ranked(rows: list[Row], horizon: int) -> list[str]:
    """A line for every pair that the two measures rank differently."""
    lines = []
    for a, b in itertools.combinations(sorted(rows, key=lambda row: row.divergence), 2):
        if a.horizon >= b.horizon:
            continue
        clusters, of = next_token.clusters_of(a.scores.windows)
        difference = studentized.mean(a.scores.divergences - b.scores.divergences, clusters, of)
        ratio = survival.horizon_ratio(a.runs, b.runs, horizon)
        sure = [name for name, known in (("KL", difference.below(0)), ("horizon", ratio.below(1))) if known]
        lines.append(
            f"- {a.recipe} has the lower KL ({', '.join(spread(difference, lambda x: f'{x:+.5f}'))}), {b.recipe} the "
            f"longer horizon (ratio of half-lives {', '.join(spread(ratio, lambda x: f'{1 / x:.2f}'))}); sure: "
            f"{' and '.join(sure) or 'neither'}"
        )
    return lines or ["- none"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="GGUF file to quantize; also the reference")
    parser.add_argument("--recipes", default=RECIPES)
    add_text_option(parser, "--text")
    parser.add_argument("--chunks", type=int, default=16, help="chunks of 512 tokens for the KL")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=32)
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--save", metavar="NAME", help="write the table to benchmarks/results under this name")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        base = Reference(arguments.model, Path(folder) / "store", arguments)
        for recipe in arguments.recipes.split(","):
            file = Path(folder) / "candidate.gguf"
            quantize(arguments.model, recipe, file, method="rtn")
            rows.append(base.measure(recipe, file))
            file.unlink()
    table = [cells(row, rows) for row in rows]
    output.print_table(HEADERS, table)
    count = len(base.rollouts)
    words = [f"{arguments.model.name} and its quantizations: {arguments.chunks} chunks of 512 tokens for the KL, "
             f"{count} prompts of {arguments.prompt_tokens} tokens, {base.steps} tokens written from each.",
             "", "Ranked differently:", *differently_ranked(rows, base.steps)]  # fmt: skip
    print("\n".join(words))
    if arguments.save:
        save(arguments.save, "\n".join(words), HEADERS, table, describe_machine(base.engine.threads))


if __name__ == "__main__":
    main()
