"""The main job in one minute: quantize a real model twice, measure what was lost, and ask each file a question."""

from __future__ import annotations

import math
from pathlib import Path

import bitwright as bw
from bitwright.cli import models, output
from bitwright.cli.chat import Answer, Conversation

MODEL = "smollm2-135m"
RECIPES = ("q4_k_m", "q4_0")
QUESTION = "What is the capital of France, and what is it known for?"
TEXT = Path(__file__).with_name("measures.txt")
FOLDER = Path("build/demo")
CHUNKS, CONTEXT = 4, 512


def measure(path: Path) -> tuple[str, ...]:
    """A row of the table: the file's name, bytes, bits per weight and perplexity on the text."""
    file = bw.open(path)
    weights = sum(math.prod(tensor.shape) for tensor in file.tensors.values())
    stored = sum(tensor.nbytes for tensor in file.tensors.values())
    with output.progress(f"measuring {path.name}") as report:
        model = bw.load(path, context=CONTEXT)
        result = bw.perplexity(model, TEXT.read_text(encoding="utf-8"), context=CONTEXT, chunks=CHUNKS, progress=report)
    size = output.human_bytes(path.stat().st_size)
    return path.name, size, f"{8 * stored / weights:.2f}", f"{result.mean:.2f} ± {result.standard_error:.2f}"


def answer(path: Path) -> str:
    """The model's answer to the question, always taking the likeliest token."""
    conversation = Conversation(bw.load(path, context=CONTEXT), bw.Sampler(temperature=0))
    return "".join(conversation.ask(QUESTION, 60, Answer()))


def main() -> None:
    source = models.resolve(MODEL)
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = [source]
    for recipe in RECIPES:
        target = FOLDER / f"smollm2-135m.{recipe}.gguf"
        print(f"$ bitwright quantize {MODEL} --to {recipe} -o {target}")
        with output.progress(f"quantizing to {recipe}") as report:
            result = bw.quantize(source, recipe, target, progress=report)
        print(f"  {output.human_bytes(result.bytes)} in {result.seconds:.1f} s")
        files.append(target)
    print(f"\n{CHUNKS} chunks of {CONTEXT} tokens of {TEXT.name}; lower perplexity is better\n")
    output.print_table(["file", ">bytes", ">bits/weight", ">perplexity"], [measure(path) for path in files])
    for path in files:
        print(f'\n$ bitwright run {path.name} "{QUESTION}" --temp 0 -n 60\n{answer(path)}')


if __name__ == "__main__":
    main()
