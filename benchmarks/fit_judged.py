"""What files of one size lost on other texts, and how long they stay with the original when they write.

    python benchmarks/fit_judged.py --model widened.f16.gguf PRESET.gguf SEED.gguf --prompts 20 --write widened

The first file is what the others are compared with: in brackets, the paired difference in percent with a 95% interval.
KL divergence in nats on bitwright's own text (English prose, source code, two other languages) and on texts -f, in
chunks of 512; tokens until the first divergence, of 32, after the first --prompts of each kind of the horizon suite.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from reporting import describe_machine, divergence, markdown, write

import bitwright as bw
from bitwright.cli import output
from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.measure import next_token, reference, standard_text, windows
from bitwright.measure.horizon import original, prompts, score
from bitwright.measure.next_token import clusters_of
from bitwright.model.model import load

Column = list[dict[str, Any]]  # for each file: kl, the figures that are averaged


def losses(original_engine: Engine, text: str, files: list[Engine], chunks: int) -> tuple[Column, np.ndarray]:
    """The divergences (tokens,) of every file on a text, and the cluster of each token."""
    pieces = windows.cut(original_engine.model.tokenizer, text, 512, chunks)
    store = reference.store_reference(original_engine, pieces)
    clusters, _ = clusters_of(pieces)
    return [{"kl": next_token.score_tokens(file, store).divergences.ravel()} for file in files], clusters.ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--model", type=Path, required=True, help="the float16 GGUF that they were made from")
    parser.add_argument("-f", "--file", type=Path, action="append", default=[], help="a further text")
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=10, help="of each kind")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--write", metavar="NAME", help="write benchmarks/results/fit-judged-NAME.md")
    args = parser.parse_args()
    engine = Engine(load(args.model), RunOptions(context=512, threads=args.threads))
    files = [bw.load(path, threads=args.threads) for path in args.files]
    texts = {"bitwright's own": standard_text.read()} | {path.name: path.read_text("utf-8") for path in args.file}
    rows = []
    for name, text in texts.items():
        column, clusters = losses(engine, text, files, args.chunks)
        rows.append([f"KL, {name}", *(divergence(own, column[0], clusters) for own in column)])
    items = prompts.first(args.prompts)
    with output.progress("the original writes") as report:
        base = original.write(bw.load(args.model, threads=args.threads), items, report)
    aligned = [np.array(score.aligned(score.score(base, file).readings), float) for file in files]
    kinds = np.array([item.kind for item in items])
    for kind in [*dict.fromkeys(kinds), "all"]:
        chosen = np.flatnonzero((kinds == kind) | (kind == "all"))
        column = [{"kl": own[chosen]} for own in aligned]
        rows.append(
            [f"tokens, {kind}", *(divergence(own, column[0], np.arange(len(chosen)), digits=1) for own in column)]
        )
    headers = ["", *(f">{path.stem}" for path in args.files)]
    output.print_table(headers, rows)
    if args.write:
        about = (
            f"{args.model.stem}; the first file is the base. {args.chunks} chunks, {args.prompts} prompts of each kind."
        )
        lines = [about, "", *markdown(headers, rows, describe_machine(args.threads))]
        write(
            f"fit-judged-{args.write}", f"Other texts and horizons at equal bytes: {args.write}", "fit_judged.py", lines
        )


if __name__ == "__main__":
    main()
