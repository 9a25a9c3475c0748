"""Measures what each ingredient of quantization is worth: one model, every recipe and method, at equal bytes.

    python benchmarks/ablation.py --model widened.f16.gguf --stats fisher.gguf --plain plain.gguf \\
        --recipes q4_k:,q4_k_m,q3_k_m --peer PATH/llama-quantize --write widened

`bitwright calibrate --hessian` makes --stats and, with --no-fisher, --plain. A recipe is a name that `bitwright
quantize` accepts; "q4_k:" uses that format for every block tensor, and Q6_K for the head and the embedding. A figure is
the mean KL divergence from the model, in nats, on WikiText-2 in chunks of 512 (-f, --chunks). In brackets: the paired
difference from llama.cpp's file with the same importance, in percent, with a 95% interval over documents. "all" is the
geometric mean over the recipes. bitwright runs all files; rounding of inputs adds less than 0.001. Results go to --work
one by one, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from reporting import describe_machine, divergence, markdown, write
from wikitext import add_text_option

import bitwright as bw
from bitwright import calibration
from bitwright.cli import output
from bitwright.measure import next_token, reference, windows
from bitwright.measure.next_token import clusters_of
from bitwright.measure.reference import ReferenceStore
from bitwright.quantizers import quantize

HERE = Path(__file__).parent
WORK = HERE.parent / "build/ablation"
CARRIER = "q4_k_m"  # the recipe that pure files start from; every matrix is overridden
PURE = ["token_embd=q6_k", "output.weight=q6_k"]
ARMS = {
    "llama.cpp": {},
    "llama.cpp, importance": {},
    "rtn": {"method": "rtn"},
    "rtn, importance": {"method": "rtn", "stats": "plain"},
    "search": {"method": "search"},
    "search, importance": {"method": "search", "stats": "plain"},
    "feedback": {"stats": "plain", "effort": 0},
    "feedback, descent": {"stats": "plain", "effort": 2},
    "feedback, Fisher": {"stats": "fisher", "effort": 0},
    "feedback, Fisher, descent": {"stats": "fisher", "effort": 2},
}
BASE = "llama.cpp, importance"


def make(arm: str, recipe: str, target: Path, args: argparse.Namespace) -> None:
    base, pure, _ = recipe.partition(":")
    types = [rf"blk\.={base}", *PURE] if pure else []
    base = CARRIER if pure else base
    if arm.startswith("llama.cpp"):
        command: list[object] = [args.peer]
        if "importance" in arm:
            command += ["--imatrix", args.plain]
        command += [word for kind in types for word in ("--tensor-type", kind)]
        command += [args.model, target, base, args.threads]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        return
    how = dict(ARMS[arm])
    if how.get("stats"):
        how["stats"] = args.stats if how["stats"] == "fisher" else args.plain
    quantize(args.model, base, target, types, threads=args.threads, **how)


def measure(target: Path, store: ReferenceStore) -> list[float]:
    """The divergences of all scored tokens."""
    divergences = next_token.score_tokens(bw.load(target), store).divergences
    return [round(float(d), 6) for d in divergences.ravel()]


Measured = dict[str, Any] | None  # bytes, seconds, kl; None where the peer refused
Found = dict[str, dict[str, Measured]]  # recipe -> arm -> what was measured


def run(args: argparse.Namespace, store: ReferenceStore, report: Callable[..., object]) -> Found:
    """Measures every arm of every recipe that has no stored result."""
    kept = args.work / f"{args.model.stem}-{args.file.stem}-{args.chunks}.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    arms = [arm for arm in args.arms.split(";") if args.peer or not arm.startswith("llama.cpp")]
    wanted = [(recipe, arm) for recipe in args.recipes.split(",") for arm in arms]
    for done, (recipe, arm) in enumerate(wanted):
        report(done, len(wanted), f"{recipe}, {arm}")
        if arm in found.setdefault(recipe, {}):
            continue
        target, started = args.work / f"{args.model.stem}.small.gguf", time.monotonic()
        try:
            make(arm, recipe, target, args)
        except subprocess.CalledProcessError:  # llama.cpp writes no IQ2 without importance
            found[recipe][arm] = None
        else:
            seconds = time.monotonic() - started
            found[recipe][arm] = {"bytes": target.stat().st_size, "seconds": seconds, "kl": measure(target, store)}
        kept.write_text(json.dumps(found))
    return {recipe: {arm: found[recipe][arm] for arm in arms} for recipe in args.recipes.split(",")}


def overall(pairs: Iterable[tuple[Measured, Measured]]) -> str:
    """How much more the first of each pair diverges, in percent (geometric mean)."""
    logs = [np.log(np.mean(own["kl"]) / np.mean(base["kl"])) for own, base in pairs if own and base and own is not base]
    return f"{100 * np.expm1(np.mean(logs)):+.0f}%" if logs else ""


def table(found: Found, clusters: np.ndarray) -> tuple[list[str], list[list[str]]]:
    of_recipes = list(found.values())
    arms = list(of_recipes[0])
    rows = []
    for arm in arms:
        pairs = [(own[arm], own.get(BASE)) for own in of_recipes]
        rows.append([arm, overall(pairs), *(divergence(*pair, clusters, "refused") for pair in pairs)])
    rows.append(["bytes", "", *(f"{max(m['bytes'] for m in own.values() if m):,}" for own in of_recipes)])
    for arm in arms:
        taken = [own[arm] for own in of_recipes]
        rows.append([f"seconds: {arm}", "", *(f"{m['seconds']:.0f}" if m else "" for m in taken)])
    return ["", ">all", *(f">{recipe.replace(':', ' blocks')}" for recipe in found)], rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a float16 GGUF")
    parser.add_argument("--stats", type=Path, required=True, help="second moments weighted by gradients")
    parser.add_argument("--plain", type=Path, required=True, help="plain second moments of the same text")
    parser.add_argument("--recipes", default="q4_k:,q4_k_m,q3_k_m", help="separated by commas")
    parser.add_argument("--arms", default=";".join(ARMS), help="separated by semicolons")
    parser.add_argument("--peer", type=Path, help="llama-quantize")
    add_text_option(parser, "-f", "--file")
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=WORK, help="folder for results")
    parser.add_argument("--write", metavar="NAME", help="write benchmarks/results/quantizers-NAME.md")
    args = parser.parse_args()
    engine = bw.load(args.model)
    text = windows.cut(engine.tokenizer, args.file.read_text(), 512, args.chunks)
    store = reference.store_reference(engine, text, args.work / f"{args.model.stem}-{args.file.stem}")
    clusters, of = clusters_of(text)
    args.work.mkdir(parents=True, exist_ok=True)
    with output.progress("ablation") as report:
        found = run(args, store, report)
    headers, rows = table(found, clusters.ravel())
    output.print_table(headers, rows)
    if args.write:
        texts = ", ".join(calibration.read(args.stats).texts)
        about = f"{args.model.stem} on {args.file.name}, {len(text)} chunks, intervals over {of}"
        lines = [f"{about}; calibrated on {texts}.", "", *markdown(headers, rows, describe_machine(args.threads))]
        write(f"quantizers-{args.write}", f"KL divergence by quantizer: {args.write}", "ablation.py", lines)


if __name__ == "__main__":
    main()
