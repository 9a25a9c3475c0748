"""The tour in two minutes: one float model, the same bytes by two methods, what each lost, and an answer by each.

What was made stays in build/demo (0.8 GB), so a second run is quick.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rotate import rotate

import bitwright as bw
from bitwright.cli import exit_code, models, output
from bitwright.io.atomic import replacing

MODEL, RECIPE = "smollm2-135m", "q4_0"
QUESTION, TOKENS = "Explain gravity in one sentence.", 48
FOLDER = Path("build/demo")
ORIGINAL, STATISTICS, RESULT = (FOLDER / name for name in ("original.f16.gguf", "statistics.gguf", "comparison.json"))
PAGE = RESULT.with_suffix(".html")
FILES = {"rtn": FOLDER / f"llama-cpp.{RECIPE}.gguf", "feedback": FOLDER / f"bitwright.{RECIPE}.gguf"}
TITLES = dict(zip((ORIGINAL.name, *(path.name for path in FILES.values())),
                  ("the original", "llama.cpp's method", "bitwright's method"), strict=True))  # fmt: skip


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Says what comes, and how long it took."""
    print(f"\n{output.bold(text)}", flush=True)
    started = time.monotonic()
    yield
    print(f"({time.monotonic() - started:.0f} s)", flush=True)


def bitwright(*arguments: object) -> str:
    """Show a command and run it; what it prints."""
    words = [str(argument) for argument in arguments]
    print(f"$ bitwright {shlex.join(words)}", flush=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = exit_code(words)
    if code:
        sys.exit(code)
    return printed.getvalue()


def missing(path: Path, *sources: Path) -> bool:
    """Whether `path` must be made: it is not there, or older than what it is made from."""
    if path.exists() and all(path.stat().st_mtime >= source.stat().st_mtime for source in sources):
        print(f"kept from last time: {path}")
        return False
    return True


def make() -> None:
    """The original, the statistics, and the two files."""
    with step("1. A float model to start from (about 10 s)"):
        output.say(f"Package indexes carry {MODEL} in 4 bits, and quantizing it again would say little. So we rotate "
                   "its residual stream: a model in float16 that computes the same function, with weights that lie on "
                   "no grid (examples/rotate.py). It stands in for the original.")  # fmt: skip
        if missing(ORIGINAL):
            rotate(bw.open(models.resolve(MODEL)), ORIGINAL)
    with step("2. What its layers read: statistics for both methods (about 40 s)"):
        if missing(STATISTICS, ORIGINAL):
            bitwright("calibrate", ORIGINAL, "--hessian", "--chunks", 2, "-o", STATISTICS)
    with step(f"3. The same {RECIPE} file by two methods, from the same statistics (about 15 s)"):
        output.say("llama.cpp's method rounds each block of weights alone, by their importance; bitwright's lets each "
                   "column make up for the errors of those before it.")  # fmt: skip
        for method, path in FILES.items():
            if missing(path, STATISTICS):
                bitwright("quantize", ORIGINAL, "--to", RECIPE, "--method", method, "--stats", STATISTICS, "-o", path)


def compare() -> dict[str, Any]:
    """Both files measured against the original, on a text that neither method has seen."""
    with step("4. What each file lost, on a text that no method has seen (about a minute)"):
        if missing(RESULT, *FILES.values()) or missing(PAGE, *FILES.values()):
            found = bitwright("compare", *FILES.values(), "--reference", ORIGINAL, "-o", PAGE, "--json")
            with replacing(RESULT) as file:
                file.write(found.encode())
    result: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return result


def row(found: dict[str, Any]) -> tuple[str, ...]:
    """One model of a comparison as a row of the table."""
    name, size = TITLES[found["model"]["name"]], output.human_bytes(found["model"]["file_bytes"])
    if found["is_reference"]:
        return name, size, "0", "0%", "never"
    loss, first = found["kl_divergence"], found["first_divergence"]
    return (
        name,
        size,
        f"{loss['mean']:.3f} ({loss['low']:.3f} to {loss['high']:.3f})",
        f"{100 * (1 - found['same_top1']):.0f}%",
        f"{first['median']:.0f} ({first['low']:.0f} to {first['high']:.0f})",
    )


def answers() -> None:
    """The likeliest answer of each model, and the first token at which it is another than the original's."""
    print(f"\n{output.bold('5. The same question to each: ' + QUESTION)}\n")
    expected: list[int] = []
    for path in (ORIGINAL, *FILES.values()):
        engine = bw.load(path, context=512)
        assert engine.chat_template is not None
        prompt = engine.chat_template.encode(engine.tokenizer, [{"role": "user", "content": QUESTION}])
        ids = list(bw.generate(engine.session(), prompt, max_tokens=TOKENS))
        expected = expected or ids
        text = engine.tokenizer.decode(ids).strip() + ("" if len(ids) < TOKENS else " ...")
        output.say(f"{TITLES[path.name]}: {text}", indent=2)
        output.say(f"  {departure(ids, expected, engine.tokenizer)}\n", indent=2)


def departure(ids: list[int], expected: list[int], tokenizer: Any) -> str:
    """Where an answer first differs from the original's, in words."""
    if ids is expected:
        return "the answer to keep"
    at = next((i for i, pair in enumerate(zip(ids, expected, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return "the same, token by token" if ids == expected else f"the same for {min(len(ids), len(expected))} tokens"
    own, other = (repr(tokenizer.decode([found[at]])) for found in (ids, expected))
    return f"departs at token {at + 1}: {own} instead of {other}"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    make()
    found = compare()
    print()
    ranked = sorted(found["models"], key=lambda model: not model["is_reference"])
    titles = ["", ">bytes", ">KL divergence", ">other token", ">departs at"]
    output.print_table(titles, [row(model) for model in ranked])
    print()
    output.say("KL divergence from the original, in nats; how often another token is the likeliest; the token at which "
               "half of 16 greedy texts have left the original's. In brackets: 95% intervals.")  # fmt: skip
    answers()
    print(f"The whole comparison, with plots: {PAGE.resolve().as_uri()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except bw.BitwrightError as error:
        sys.exit(f"demo: {error}")
