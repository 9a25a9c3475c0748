"""The basics in one minute: quantize a real model twice, measure what was lost, and ask each file a question."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path

import bitwright as bw
from bitwright.cli import exit_code, models, output

MODEL = "smollm2-135m"
RECIPES = ("q4_k_m", "q4_0")
QUESTION = "Explain gravity in one sentence."
TEXT = Path(__file__).with_name("measures.txt")
FOLDER = Path("build/demo")
CHUNKS, CONTEXT = 4, 512


def bitwright(*arguments: object) -> None:
    """Show a command, then run it."""
    words = [str(argument) for argument in arguments]
    print(f"\n{output.bold('$ bitwright ' + shlex.join(words))}", flush=True)
    if code := exit_code(words):
        sys.exit(code)


def measure(path: Path) -> tuple[str, ...]:
    """A row of the table: the file's name, bytes, bits per weight and perplexity on the text."""
    file = bw.open(path)
    weights = sum(math.prod(tensor.shape) for tensor in file.tensors.values())
    stored = sum(tensor.nbytes for tensor in file.tensors.values())
    with output.progress(f"measuring {path.name}") as report:
        engine = bw.load(path, context=CONTEXT)
        result = bw.perplexity(
            engine, TEXT.read_text(encoding="utf-8"), context=CONTEXT, chunks=CHUNKS, progress=report
        )
    size = output.human_bytes(path.stat().st_size)
    return path.name, size, f"{8 * stored / weights:.2f}", f"{result.mean:.2f} ± {result.standard_error:.2f}"


def main() -> None:
    source = models.resolve(MODEL)
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {recipe: FOLDER / f"{MODEL}.{recipe}.gguf" for recipe in RECIPES}
    for recipe, path in files.items():
        bitwright("quantize", MODEL, "--to", recipe, "-o", path)
    print(f"\nWhat was lost: perplexity on {CHUNKS} chunks of {CONTEXT} tokens of {TEXT.name} (lower is better)\n")
    rows = [measure(path) for path in (source, *files.values())]
    output.print_table(["file", ">bytes", ">bits/weight", ">perplexity"], rows)
    for model in (MODEL, *files.values()):
        bitwright("run", model, QUESTION, "--temp", 0, "-n", 60)


if __name__ == "__main__":
    main()
