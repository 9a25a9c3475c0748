"""Compares perplexity with llama.cpp on the same files, and what each engine loses by rounding activations to int8.

    python benchmarks/perplexity_agreement.py --peer PATH/llama-perplexity --files a.gguf b.gguf \\
        --model widened.f16.gguf --recipes q8_0,q4_k_m,q4_0,q6_k --save

Two engines with the same weights differ by how they round activations, so neither is a reference for the other. The
reference here ("exact") is llama.cpp on the same weights written as float32, with float32 keys, values and attention.
Compared with it are both engines in normal use (int8 activations, float16 cache); bitwright rounding as llama.cpp does
("as theirs"); llama.cpp without flash attention ("theirs again"), because rounding amplifies the last bit of a sum, so
no engine agrees with another better than llama.cpp does with itself; and bitwright on the float32 file ("float32"),
which shows the differences that do not come from int8. KL is the mean over the scored tokens of KL(exact || engine) in
nats, by the same formula and the same stored log-probabilities for both engines (16 bits each, down to e**-16:
tools/perplexity/perplexity.cpp). Noise with a given KL raises perplexity by about exp(KL) - 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reporting import describe_machine, save
from wikitext import add_text_option

import bitwright as bw
from bitwright.cli import output
from bitwright.measure.softmax import negative_log_likelihoods
from bitwright.quantizers import quantize

HERE = Path(__file__).parent
FLOAT = ("-ctk", "f32", "-ctv", "f32", "-fa", "off")
HEADERS = ["file", ">exact", ">bitwright", ">as theirs", ">llama.cpp", ">as theirs/theirs", ">theirs again/theirs",
           ">ours/theirs", ">ours/exact", ">theirs/exact", ">float32/exact", ">KL ours", ">KL as theirs", ">KL theirs",
           ">ours/theirs", ">KL float32"]  # fmt: skip


class Exact:
    """llama.cpp's store of the log-probabilities at every scored token: the file of --kl-divergence-base."""

    def __init__(self, path: Path) -> None:
        magic, header = path.open("rb").read(8), np.fromfile(path, np.int32, 3, offset=8)
        if magic != b"_logits_":
            raise SystemExit(f"{path} holds no log-probabilities: it begins with {magic!r}")
        self.context, self.vocabulary, self.chunks = map(int, header)
        self.tokens = np.fromfile(path, np.int32, self.context * self.chunks, offset=20).reshape(self.chunks, -1)
        shape = (self.chunks, self.context - 1 - self.context // 2, (self.vocabulary + 1) // 2 * 2 + 4)
        self.stored = np.memmap(path, np.uint16, "r", 20 + self.tokens.nbytes, shape)

    def divergence(self, chunk: int, logits: NDArray[np.float32]) -> Iterator[float]:
        """KL(exact || softmax(logits)) of each scored token of a chunk; logits (scored tokens, vocabulary)."""
        for stored, row in zip(self.stored[chunk], logits, strict=True):
            scale, lowest = stored[:4].view(np.float32)
            exact = stored[4 : 4 + self.vocabulary] * np.float64(scale) + lowest
            likely = exact > -16
            own = row.astype(np.float64) - row.max()
            own -= np.log(np.exp(own).sum())
            yield float(np.exp(exact[likely]) @ (exact - own)[likely])


@dataclass
class Score:
    """The result of one engine on one file."""

    perplexity: float
    divergence: float = 0.0


def score_bitwright(file: Path, exact: Exact, text: str, threads: int, activations: str = "int8") -> Score:
    """Scores the chunks that llama.cpp scored, which must equal those of bitwright's tokenizer."""
    engine = bw.load(file, context=exact.context, threads=threads, activations=activations)
    pieces, first = exact.tokens.copy(), exact.context // 2
    if not np.array_equal(engine.tokenizer.encode(text)[: pieces.size], pieces.ravel()):
        raise SystemExit(f"{file.name}: bitwright and llama.cpp cut the text into different tokens")
    if engine.tokenizer.add_bos:
        pieces[:, 0] = engine.tokenizer.bos
    session, losses, divergences = engine.session(), [], []
    for chunk, ids in enumerate(pieces):
        session.reset()
        logits = session.extend(ids[:-1], range(first, exact.context - 1))
        losses.extend(negative_log_likelihoods(logits, ids[first + 1 :]))
        divergences.extend(exact.divergence(chunk, logits))
    return Score(float(np.exp(np.mean(losses))), float(np.mean(divergences)))


def run_peer(peer: Path, file: Path, threads: int, *flags: object) -> str:
    command = [peer, "-m", file, "-t", threads, *flags]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{peer.name} failed on {file.name}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout + done.stderr


def found(pattern: str, printed: str) -> float:
    match = re.search(pattern + r"\s*(-?[\d.]+)", printed)
    if match is None:
        raise SystemExit(f"llama-perplexity printed nothing like {pattern!r}; its last lines: {printed[-500:]}")
    return float(match[1])


def score_peer(args: argparse.Namespace, file: Path, store: Path, *flags: object) -> Score:
    printed = run_peer(args.peer, file, args.threads, "--kl-divergence", "--kl-divergence-base", store, *flags)
    return Score(found(r"Mean PPL\(Q\)\s*:", printed), found(r"Mean\s+KLD:", printed))


def compare(file: Path, args: argparse.Namespace) -> tuple[str, ...]:
    """A row of the table."""
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        decoded, store = Path(folder) / "float32.gguf", Path(folder) / "exact.bin"
        quantize(file, "f32", decoded, threads=args.threads)
        text = ("-f", args.text, "-c", args.context, "--chunks", args.chunks, "--kl-divergence-base", store)
        printed = run_peer(args.peer, decoded, args.threads, *text, *FLOAT)
        value = found("Final estimate: PPL =", printed)
        theirs, again = (score_peer(args, file, store, *flags) for flags in ((), ("-fa", "off")))
        exact, words = Exact(store), args.text.read_text()
        ours, ours_float = (score_bitwright(f, exact, words, args.threads) for f in (file, decoded))
        alike = score_bitwright(file, exact, words, args.threads, "ggml")
    ratios = [s.perplexity / theirs.perplexity - 1 for s in (alike, again, ours)]
    off = [s.perplexity / value - 1 for s in (ours, theirs, ours_float)]
    return (
        file.name,
        *(f"{x:.4f}" for x in (value, ours.perplexity, alike.perplexity, theirs.perplexity)),
        *(f"{100 * x:+.2f}%" for x in ratios),
        *(f"{100 * x:+.3f}%" for x in off),
        *(f"{s.divergence:.5f}" for s in (ours, alike, theirs)),
        f"{ours.divergence / theirs.divergence:.2f}",
        f"{ours_float.divergence:.6f}",
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="llama-perplexity built for this machine")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="quantized GGUF files")
    parser.add_argument("--model", type=Path, help="a float16 GGUF to quantize by --recipes")
    parser.add_argument("--recipes", default="q8_0,q4_k_m,q4_0,q6_k")
    add_text_option(parser, "--text")
    parser.add_argument("-c", "--context", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build", help="a folder with room for 5 GB")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results/")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    files = list(args.files)
    for recipe in args.recipes.split(",") if args.model else []:
        files.append(args.work / f"{args.model.name.split('.')[0]}.{recipe}.gguf")
        quantize(args.model, recipe, files[-1], threads=args.threads, method="rtn")
    rows = []
    with output.progress("comparing") as progress:
        for done, file in enumerate(files):
            progress(done, len(files), file.name)
            rows.append(compare(file, args))
            output.remark("  ".join(rows[-1]))
    output.print_table(HEADERS, rows)
    if args.save:
        title = f"# Agreement with llama.cpp: {args.chunks} chunks of {args.context} tokens of {args.text.name}"
        text = f"{title}\n\nMade by `benchmarks/perplexity_agreement.py`, which explains the columns."
        save("agreement", text, HEADERS, rows, describe_machine(args.threads))


if __name__ == "__main__":
    main()
