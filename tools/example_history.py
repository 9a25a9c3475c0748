"""Makes the search that the explorer shows for the built-in model: what every format costs in every tensor, and an
evolution that starts from one format for all.

    python tools/example_history.py widened.f16.gguf --stats widened.stats.gguf -s search.txt -o search.json.gz

The model is the built-in one as float16, made by `examples/rotate.py --widen`, so that every format fits its rows. In
contrast to `fit`, formats are taken from the shortlists of several budgets, so that the page can move the budget, and
the search starts from a uniform file, so that there is something to see. A call that is ended goes on where it was.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.fit import known, problem, survey
from bitwright.fit.budget import Ask, budget
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.evolution import Search, evolve
from bitwright.fit.history import History
from bitwright.fit.palette import Palette
from bitwright.fit.scoring import EngineScorer
from bitwright.fit.settings import Settings
from bitwright.model.architectures import outline
from bitwright.model.model import load
from bitwright.progress import silent
from bitwright.quantizers import Quantizer
from bitwright.quantizers.metadata import provenance

SHARES = (0.2, 0.25, 0.31, 0.37, 0.48)  # of the file's bytes: the budgets whose formats are measured
BUDGET = 0.32  # the share that the search may use
COMPARED = ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0")  # presets and uniform files are made of them
DIGITS = 4  # of costs and scores, to keep the file small
KEPT = ("levels", "parent", "origin", "generation", "gain", "chunks", "scores", "outcome")


def uniform(choices: Choices, room: int) -> Levels:
    """The largest file within `room` that has one format wherever it may be used, and the next smaller where not."""
    for level in reversed(range(len(choices.formats))):
        allowed = (np.flatnonzero(own[: level + 1]) for own in choices.allowed)
        taken = tuple(int(f[-1] if len(f) else own.argmax()) for f, own in zip(allowed, choices.allowed, strict=True))
        if choices.bytes_of(taken) <= room:
            return taken
    raise SystemExit("no uniform file fits")


def rounded(value: float) -> float | None:
    """A number with few digits; None for infinity."""
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def packed(model: Path, choices: Choices, found: History) -> bytes:
    """What the package holds."""
    file = load(model).opened()
    names = [f.name for f in choices.formats]
    tried = [{key: getattr(one, key) for key in KEPT} for one in found.tried]
    for one in tried:
        one["scores"] = [rounded(score) for score in one["scores"]]
    data = {
        "origin": "The figures are those of SmolLM2-135M as float16, made 768 wide by an exact rotation so that every "
        "format fits its rows: nats per token that each format adds in each tensor, by gradients, and a search "
        "of 24 chunks of text that begins with one format for all tensors.",
        "tensors": list(choices.tensors),
        "formats": names,
        "bytes": choices.bytes.tolist(),
        "cost": [[rounded(cost) for cost in row] for row in choices.cost],
        "presets": known.presets(file, choices.tensors, names),
        "tried": tried,
        "best": found.best,
    }
    known.check(data)
    return gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9, mtime=0)


def main() -> None:
    """Survey, weigh, search and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--stats", type=Path, required=True)
    parser.add_argument("-s", "--search", type=Path, action="append", required=True)
    parser.add_argument("--evaluations", type=int, default=600)
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()

    model = load(args.model)
    texts = tuple((path.name, path.read_text("utf-8")) for path in args.search)
    settings = Settings(stats=args.stats, search=texts, threads=args.threads)
    pieces, statistics = problem.gathered(model, settings)
    ask = Ask(size=round(BUDGET * model.file_bytes))
    room = budget(outline.from_gguf(model.opened()), ask, provenance(settings.stats, statistics))
    palette = Palette(model.opened(), Quantizer(None, problem.EFFORT, statistics, settings.threads))
    choices = problem.surveyed(model, room, settings.palette, palette.quantizer, silent)
    kept = np.logical_or.reduce([survey.shortlist(choices, round(share * model.file_bytes)) for share in SHARES])
    for name in COMPARED:
        kept[:, [f.name for f in choices.formats].index(name)] = True
    choices = problem.restricted(choices, kept)
    palette.build(choices.pairs)
    choices = problem.weighed(model, choices, palette, pieces, settings, silent)
    engine = Engine(model, RunOptions(context=512, threads=settings.threads))
    scorer = EngineScorer(engine, palette.tensor, choices, pieces.searched)
    state = args.output.with_suffix(".search")

    def keep(found: History) -> None:
        state.write_text(json.dumps(found.json()))
        args.output.write_bytes(packed(args.model, choices, found))

    before = json.loads(state.read_text()) if state.exists() else None
    evolve(choices, scorer, uniform(choices, room.room), room.room, search=Search(args.evaluations), history=before,
           checkpoint=keep, progress=lambda done, total, note: print(done, total, note, flush=True))  # fmt: skip


if __name__ == "__main__":
    main()
