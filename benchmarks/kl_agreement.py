"""Compares every statistic of `llama-perplexity --kl-divergence` with bitwright's on the same files.

    python benchmarks/kl_agreement.py --peer PATH/llama-perplexity --model widened.f16.gguf --save

Each engine rounds activations to int8 in a different way, so the statistics are compared where engines must agree: the
model, and the model quantized by each recipe, are written as float32. Each line has three figures: llama-perplexity's;
bitwright's with the store that llama-perplexity wrote (so both read the same base); and llama-perplexity's with the
store that bitwright wrote. "off" is the larger difference of the second and third from the first, in percent, where
the first has at least two digits. The remaining difference comes from the engines: bitwright's cache is float16,
llama.cpp's is float32.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from pathlib import Path

from perplexity_agreement import FLOAT, run_peer
from reporting import describe_machine, save
from wikitext import add_text_option

import bitwright as bw
from bitwright.cli import output
from bitwright.measure import kld_file, next_token
from bitwright.measure.kld_file import KldFile
from bitwright.measure.llama_perplexity import llama_statistics
from bitwright.quantizers import quantize

HERE = Path(__file__).parent
LINE = re.compile(r"^ *(\S.*?)\s*:\s+(-?[\d.]+)%?(?:\s+±\s+([\d.]+))?", re.MULTILINE)
ALL = re.compile(r"^====== Perplexity statistics.*^Same top p.*?$", re.MULTILINE | re.DOTALL)


def printed(text: str) -> dict[str, str]:
    """The statistics that llama-perplexity printed, name -> digits; a standard error has its value's name and ±."""
    end = ALL.search(text)
    if end is None:
        raise SystemExit(f"llama-perplexity printed no statistics; its last lines: {text[-500:]}")
    found = {}
    for name, value, error in LINE.findall(end[0]):
        name = " ".join(name.split())
        found[name] = value
        if error:
            found[f"{name} ±"] = error
    return found


def own(file: Path, store: Path, threads: int) -> dict[str, float]:
    """bitwright's statistics of a file against a store, under the same names."""
    engine = bw.load(file, threads=threads)
    scores = next_token.score_tokens(engine, KldFile(store, engine.tokenizer))
    found = {}
    for statistic in llama_statistics(scores):
        found[statistic.name] = statistic.value
        if statistic.error is not None:
            found[f"{statistic.name} ±"] = statistic.error
    return found


def off(digits: str, *others: float) -> str:
    """The largest difference of others from the printed value, in percent; "" if that has fewer than two digits."""
    value, places = float(digits), len(digits.partition(".")[2])
    if abs(value) < 10 * 10.0**-places:
        return ""
    return f"{100 * max(abs(other - value) for other in others) / abs(value):.2f}%"


def compare(recipe: str, args: argparse.Namespace, folder: Path, base: dict[str, Path]) -> list[tuple[str, ...]]:
    """A row for each statistic."""
    quantized, decoded = folder / "quantized.gguf", folder / "candidate.f32.gguf"
    quantize(args.model, recipe, quantized, threads=args.threads, method="rtn")
    quantize(quantized, "f32", decoded, threads=args.threads)
    flags = ("--kl-divergence", "-c", args.context, *FLOAT, "--kl-divergence-base")
    theirs, on_ours = (printed(run_peer(args.peer, decoded, args.threads, *flags, base[of])) for of in base)
    ours, rows = own(decoded, base["theirs"], args.threads), []
    if ours.keys() != theirs.keys():
        raise SystemExit(f"names differ: {sorted(ours.keys() ^ theirs.keys())}")
    for name, digits in theirs.items():
        shown = f"{ours[name]:.{len(digits.partition('.')[2])}f}"
        rows.append((recipe, name, digits, shown, on_ours[name], off(digits, ours[name], float(on_ours[name]))))
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="llama-perplexity built for this machine")
    parser.add_argument("--model", type=Path, required=True, help="a float16 GGUF to quantize by --recipes")
    parser.add_argument("--recipes", default="q8_0,q6_k,q4_k_m,q2_k")
    add_text_option(parser, "--text")
    parser.add_argument("-c", "--context", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build", help="a folder with room for 5 GB")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results/")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    headers = ["recipe", "statistic", ">llama.cpp", ">bitwright", ">llama.cpp on bitwright's store", ">off"]
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(dir=args.work) as name, output.progress("comparing") as progress:
        folder = Path(name)
        reference, base = folder / "reference.f32.gguf", {of: folder / f"{of}.kld" for of in ("theirs", "ours")}
        quantize(args.model, "f32", reference, threads=args.threads)
        text = ("-f", args.text, "-c", args.context, "--chunks", args.chunks, "--kl-divergence-base", base["theirs"])
        run_peer(args.peer, reference, args.threads, *text, *FLOAT)
        engine = bw.load(reference, threads=args.threads)
        kld_file.write(base["ours"], engine, KldFile(base["theirs"], engine.tokenizer).windows)
        recipes = args.recipes.split(",")
        for done, recipe in enumerate(recipes):
            progress(done, len(recipes), recipe)
            rows += compare(recipe, args, folder, base)
    output.print_table(headers, rows)
    if args.save:
        title = f"# KL statistics, compared: {args.model.name}, {args.chunks} chunks of {args.context} tokens"
        about = f"{title}\n\nMade by `benchmarks/kl_agreement.py`, which explains the columns."
        save("kl-agreement", about, headers, rows, describe_machine(args.threads))


if __name__ == "__main__":
    main()
