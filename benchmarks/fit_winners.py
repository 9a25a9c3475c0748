"""What the winners of a search are worth on text that it did not read.

    bitwright fit widened.f16.gguf --match FILE --stats widened.stats.gguf -f wiki.txt -f code.txt \\
        --history found.json -o found.gguf
    python benchmarks/fit_winners.py --model widened.f16.gguf --stats widened.stats.gguf --history found.json \\
        -s wiki.txt -s code.txt

Every candidate that was accepted or met the guard is measured against the seed, on --chunks chunks of 256 tokens of
each search text and of WikiText-2's validation split (-f). Of a search text, they are the second halves of those chunks
whose first halves candidates are measured on: neither the search nor fit's own statistics read them. A figure is the
seed's mean KL divergence less the candidate's, in percent of the seed's, with a 95% interval over chunks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reporting import describe_machine, markdown, write
from wikitext import add_text_option

from bitwright import formats
from bitwright.calibration import imatrix, texts
from bitwright.cli import output
from bitwright.engine.engine import Engine, RunOptions
from bitwright.fit import gathering
from bitwright.fit.choices import Choices
from bitwright.fit.history import decoded
from bitwright.fit.objectives import over_chunks
from bitwright.fit.palette import Palette
from bitwright.fit.problem import EFFORT
from bitwright.fit.scoring import EngineScorer
from bitwright.measure.windows import spread
from bitwright.model.model import Model, load
from bitwright.quantizers import Quantizer

Scores = NDArray[np.float64]


def unread(model: Model, path: Path, chunks: int) -> NDArray[np.int32]:
    """Chunks (chunks, SEARCHED) of a text that neither a search on it nor its statistics read."""
    size = gathering.SEARCHED
    own = texts.cut(model, [(path.name, path.read_text("utf-8"))], 2 * size, None)[1 :: gathering.EVERY, size:]
    return own[spread(len(own), chunks)]


def gain(seed: Scores, other: Scores) -> str:
    """How much less a candidate diverges than the seed."""
    share = over_chunks((seed - other) / seed.mean())
    ends = f" ({share.ends[0]:+.1%} to {share.ends[1]:+.1%})" if share.ends else ""
    return f"{share.estimate:+.1%}{ends}"


def in_history(one: dict[str, Any], seed: dict[str, Any]) -> list[str]:
    """The gains of a winner that its search saw: where it raced, and on the chunks set apart."""
    raced = [np.array(t["scores"])[np.argsort(t["chunks"])] for t in (seed, one)]
    apart = [np.array(t.get("apart", [])) for t in (seed, one)]
    return [gain(*raced), gain(*apart) if len(apart[1]) else "none"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a float16 GGUF")
    parser.add_argument("--stats", type=Path, required=True, help="what the search was given")
    parser.add_argument("--history", type=Path, required=True, help="what fit --history wrote")
    parser.add_argument("-s", "--search", type=Path, action="append", default=[], help="a text that was searched")
    add_text_option(parser, "-f", "--file")
    parser.add_argument("--chunks", type=int, default=24, help="of each text")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--write", metavar="NAME", help="write benchmarks/results/fit-winners-NAME.md")
    args = parser.parse_args()
    model, history = load(args.model), json.loads(args.history.read_text())
    statistics = imatrix.read(args.stats).fitted(model.tensors, args.stats)
    palette = Palette(model.opened(), Quantizer(None, EFFORT, statistics, args.threads))
    names, found = tuple(history["tensors"]), tuple(map(formats.get, history["formats"]))
    choices = Choices(names, found, np.array(history["bytes"]), np.zeros((len(names), len(found))))
    pieces = {path: unread(model, path, args.chunks) for path in [*args.search, args.file]}
    engine = Engine(model, RunOptions(context=gathering.SEARCHED, threads=args.threads))
    scorer = EngineScorer(engine, palette.tensor, choices, np.concatenate(list(pieces.values())))
    seed, *others = history["tried"]
    winners = [one for one in others if one["outcome"] in {"accepted", "not confirmed"}]
    candidates = [decoded(one["levels"]) for one in (seed, *winners)]
    rows = [[f"{n}: {one['outcome']}", *in_history(one, seed)] for n, one in enumerate(winners, 1)]
    first, parts = 0, []
    with output.progress("measuring winners") as report:
        for done, (path, own) in enumerate(pieces.items()):
            report(done, len(pieces), path.name)
            parts.append(scorer.score(candidates, range(first, first + len(own)), candidates[0]))
            first += len(own)
    for row, *scores in zip(rows, *[part[1:] for part in parts], strict=True):
        row += [gain(part[0], own) for part, own in zip(parts, scores, strict=True)]
        row.append(gain(np.concatenate([part[0] for part in parts]), np.concatenate(scores)))
    headers = ["winner", ">where it raced", ">set apart", *(f">{path.stem}" for path in pieces), ">all unread"]
    output.print_table(headers, rows)
    if args.write:
        about = f"{args.model.stem}, a search of {len(history['tried'])} candidates, {args.chunks} chunks of each text."
        lines = [about, "", *markdown(headers, rows, describe_machine(args.threads))]
        write(f"fit-winners-{args.write}", f"Winners of a search on other text: {args.write}", "fit_winners.py", lines)


if __name__ == "__main__":
    main()
