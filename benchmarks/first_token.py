"""Where the time goes from the start of a process to the first token of `bitwright run`.

    python benchmarks/first_token.py model.gguf --rounds 20
    python benchmarks/first_token.py model.gguf --cached --against ../other/src

First the stages, one after another in one process: milliseconds of processor time, of all threads. Then `bitwright run`
itself, which packs weights while it prepares the prompt: seconds until the first byte of the answer and until the end,
and processor time. The least of all rounds is what the work takes; the median, what the machine made of it.

--cached: with `--cache-packed`. --against: the `src` folder of another version, run in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bitwright.cli import output

STAGES = """
import json, os, sys, time
ends = [("Python", time.process_time())]
def end(stage):
    ends.append((stage, time.process_time()))
model, text, cached = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
from bitwright.cli import answering, begin, output, plain, process
end("import: the command line")
import numpy
end("import: NumPy")
from bitwright import engine
from bitwright.engine import conversation
from bitwright.model import files, model as models
end("import: the engine")
file = files.open(model)
end("the file's header")
model = models.Model.from_gguf(file)
end("the model's step")
loaded = engine.Engine(model, engine.RunOptions(cache_packed=cached))
sampler = engine.Sampler()
end("engine and sampler")
from bitwright.model import tokenizer
end("import: tokenizers")
loaded.tokenizer
end("the vocabulary")
from bitwright.model import chat_sandbox
end("import: Jinja")
messages = [{"role": "user", "content": text}]
rendered = loaded.chat_template.render(messages)
end("the chat template")
ids = loaded.chat_template.ids(loaded.tokenizer, rendered)
end("the prompt's ids")
session = loaded.session()
end("program, packing, memory")
logits = session.prefill(ids)
end(f"prefill of {len(ids)} tokens")
sampler(logits)
end("the draw")
print(json.dumps(ends))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file with a chat template")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("-p", "--prompt", default="Why is the sky blue?")
    parser.add_argument("--cached", action="store_true", help="with --cache-packed")
    parser.add_argument("--against", type=Path, help="the `src` folder of another version")
    args = parser.parse_args()
    versions = {"": None, **({str(args.against): args.against.resolve()} if args.against else {})}
    stages: dict[str, list[float]] = {}
    runs: dict[str, list[tuple[float, ...]]] = {name: [] for name in versions}
    for name, source in versions.items():
        run(args, source)  # packs for the cache, and leaves compiled modules
        for _ in range(args.rounds):
            for stage, milliseconds in stages_of(args) if not name else ():
                stages.setdefault(stage, []).append(milliseconds)
    for _ in range(args.rounds):
        for name, source in versions.items():
            runs[name].append(run(args, source))
    rows = [[stage, f"{min(took):.1f}", f"{statistics.median(took):.1f}"] for stage, took in stages.items()]
    output.print_table(["stage", ">least, ms", ">median, ms"], rows)
    print()
    rows = []
    for name, found in runs.items():
        for what, took in zip(("first token", "end", "processor time"), zip(*found, strict=True), strict=True):
            rows.append([f"{what} {name}".rstrip(), f"{min(took):.3f}", f"{statistics.median(took):.3f}"])
    output.print_table(["bitwright run", ">least, s", ">median, s"], rows)


def stages_of(args: argparse.Namespace) -> list[tuple[str, float]]:
    """What each stage took, in milliseconds."""
    command = [sys.executable, "-c", STAGES, str(args.model), args.prompt, str(args.cached)]
    ends = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [(stage, 1000 * (end - begin)) for (_, begin), (stage, end) in zip([["", 0.0], *ends], ends, strict=False)]


def run(args: argparse.Namespace, source: Path | None) -> tuple[float, float, float]:
    """Seconds from the start of `bitwright run` to the first byte of its answer and to its end, and of processor time.
    source: the `src` folder to run from, if it is not this version's."""
    environment = os.environ if source is None else {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-m", "bitwright", "run", str(args.model), args.prompt, "-n", "1"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    cached = ["--cache-packed"] * args.cached
    with subprocess.Popen([*command, *cached], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stdout.read(1), "bitwright run printed nothing"
        first = time.perf_counter() - started
        process.stdout.read()
    ended, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return first, ended, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
