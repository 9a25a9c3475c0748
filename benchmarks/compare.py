"""Compares the speed of bitwright and llama.cpp on the same files, in turns in one run.

    python benchmarks/compare.py --peer PATH/llama-bench --model model.f16.gguf --formats q4_k_m,q8_0,f16 --save
    python benchmarks/compare.py --peer PATH/llama-bench --batched PATH/llama-batched-bench --files 1.5b.q4_k_m.gguf \
        -p 512 8192 -d 8192 32768 -s 8 32

Files are given, or made from --model by bitwright's quantizer. A round measures this machine's limits, then times
bitwright (in this process) and the peer, file by file, so that all see the same load. Prints medians over the rounds,
and ratios (above 1 where bitwright is faster) with their range over the rounds.

prefill, decode  as in `bitwright bench`; "of limit" is its share_of_limit: the share of the arithmetic limit, or of the
                 limit for reading the file's weights and the cache, as measured in the same round
of it attention  the share of a prefill's time that attention took, in percent; of bitwright only
at a depth       decode after -d tokens, or after as many as the model's context leaves room for
together         -s sequences decoded in one step, all their tokens counted; "of limit" is the ratio to one sequence.
                 The peer's are `llama-batched-bench -npp 1`.
first token      seconds from the start of a new process to its first token after a prompt of 16 tokens, with files in
                 the page cache: for `bitwright run` up to its first byte, for the peer the whole of `llama-bench -p 16
                 -n 0 --no-warmup`. Only for files with a vocabulary.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from reporting import describe_machine, save

import bitwright as bw
from bitwright.bench import speed, work
from bitwright.bench.work import Limits
from bitwright.cli import output
from bitwright.io import hub
from bitwright.quantizers import quantize

WORK = Path(__file__).parent.parent / "build/compare"
FIRST = 16  # tokens of the prompt before the first token
HEADERS = ["file", "what", ">bitwright", ">llama.cpp", ">times as fast", ">of limit"]


@dataclass
class Row:
    """The rates (or seconds) and shares of the limit that the rounds measured for one row."""

    bitwright: list[float] = field(default_factory=list)
    llama_cpp: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)

    def cells(self, what: str) -> tuple[str, ...]:
        digits = 3 if "second" in what else 1
        values = [f"{statistics.median(v):.{digits}f}" if v else "-" for v in (self.bitwright, self.llama_cpp)]
        shares = statistics.median(self.share) if self.share else None
        share = "" if shares is None else f"{shares:.2f} times" if "together" in what else f"{100 * shares:.0f}%"
        return what, *values, self.ratio("second" in what), share

    def ratio(self, inverse: bool) -> str:
        pairs = [(b, a) if inverse else (a, b) for a, b in zip(self.bitwright, self.llama_cpp, strict=False)]
        if not pairs:
            return "-"
        ours, theirs = map(statistics.median, zip(*pairs, strict=True))
        rounds = [a / b for a, b in pairs]
        return f"{ours / theirs:.2f} ({min(rounds):.2f}-{max(rounds):.2f})"


Rows = defaultdict[str, Row]


def time_bitwright(file: Path, rows: Rows, args: argparse.Namespace, meter: bw.kernels.Meter) -> float:
    """Measures every row once, after a warm-up. Returns the read bandwidth measured first."""
    engine = bw.load(file, threads=args.threads)
    prompts = sorted({min(prompt, engine.config.context) for prompt in args.prompt})
    depths = sorted({min(depth, engine.config.context - args.tokens) for depth in [0, *args.depth]})
    longest = max(*prompts, depths[-1] + args.tokens)
    engine = bw.load(file, context=longest, threads=args.threads, kv=args.kv)
    ids = np.random.default_rng(0).integers(0, engine.config.vocabulary, engine.context).tolist()
    session, limits = engine.session(), Limits.measure(meter)
    speed.seconds_to_prefill(session, ids[: prompts[0]])
    speed.seconds_to_decode(session, [], ids[:2])

    for prompt in prompts:
        session.executor.watch()
        seconds = speed.seconds_to_prefill(session, ids[:prompt])
        row = rows[f"prefill {prompt}, tokens/s"]
        row.bitwright.append(prompt / seconds)
        row.share.append(work.step(engine, prompt, 0).arithmetic_share(seconds, limits))
        attention = sum(taken for phase, taken in session.executor.seconds() if phase.kind == "attention")
        rows[f"prefill {prompt}, of it attention, %"].bitwright.append(100 * attention / seconds)
    for before in depths:
        row = rows[f"decode at a depth of {before}, tokens/s" if before else "decode, tokens/s"]
        seconds = speed.seconds_to_decode(session, ids[:before], ids[before : before + args.tokens]) / args.tokens
        row.bitwright.append(1 / seconds)
        row.share.append(work.bytes_of_token(engine, before + args.tokens // 2) / 1e9 / limits.read_gb_s / seconds)
    for sequences in args.sequences:
        row = rows[f"{sequences} sequences together, tokens/s"]
        row.bitwright.append(together(engine, sequences, ids[: args.tokens]))
        row.share.append(row.bitwright[-1] / rows["decode, tokens/s"].bitwright[-1])
    return limits.read_gb_s


def together(engine: bw.Engine, sequences: int, ids: list[int]) -> float:
    """Tokens per second of all sequences, each decoding `ids`."""
    session = engine.session(sequences)
    session.advance(dict.fromkeys(range(sequences), ids[:1]))
    started = time.perf_counter()
    for id in ids[1:]:
        session.advance({s: [id] for s in range(sequences)})
    return sequences * (len(ids) - 1) / (time.perf_counter() - started)


def time_peer(file: Path, rows: Rows, args: argparse.Namespace) -> None:
    """Measures the rows that exist with llama-bench, which warms up by itself."""
    numbers = [[int(n) for n in re.findall(rf"^{what} (\d+), tokens", "\n".join(rows), re.MULTILINE)]
               for what in ("prefill", "decode at a depth of")]  # fmt: skip
    prompts, depths = (",".join(map(str, own)) for own in numbers)
    runs = [["-p", prompts, "-n", args.tokens], ["-p", 0, "-n", args.tokens, "-d", depths]]
    for flags in runs if depths else runs[:1]:
        for found in json.loads(run_peer(file, args, *flags)):
            depth, prompt = found["n_depth"], found["n_prompt"]
            what = f"prefill {prompt}" if prompt else f"decode at a depth of {depth}" if depth else "decode"
            rows[f"{what}, tokens/s"].llama_cpp.append(found["avg_ts"])


def time_peer_together(file: Path, rows: Rows, args: argparse.Namespace) -> None:
    """Measures sequences decoded together with llama-batched-bench: one token each first, as bitwright does."""
    room = -(-(args.tokens + 1) // 256) * 256  # it keeps multiples of 256 positions for a sequence
    counts = ",".join(map(str, args.sequences))
    flags = ["-c", room * max(args.sequences), "-npp", 1, "-ntg", args.tokens, "-npl", counts]
    for line in printed(args.batched, file, args, *flags, "--output-format", "jsonl").splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            rows[f"{found['pl']} sequences together, tokens/s"].llama_cpp.append(found["speed_tg"])


def run_peer(file: Path, args: argparse.Namespace, *flags: object) -> str:
    return printed(args.peer, file, args, "-r", 1, "-o", "json", *flags)


def printed(program: Path, file: Path, args: argparse.Namespace, *flags: object) -> str:
    """What a program of llama.cpp prints on stdout."""
    cache = [] if args.kv == "f16" else ["-ctk", args.kv, "-ctv", args.kv, "-fa", 1]
    command = [program, "-m", file, "-t", args.threads, *cache, *flags]
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def time_first_token(file: Path, rows: Rows, args: argparse.Namespace) -> None:
    engine = bw.load(file)
    if "tokenizer.ggml.tokens" not in engine.model.file.metadata:
        return
    row = rows["first token, seconds"]
    command = [sys.executable, "-m", "bitwright", "run", file, prompt_of(engine), "--raw", "--temp", 0, "-n", 8]
    started = time.perf_counter()
    with subprocess.Popen([*map(str, command), "-t", str(args.threads)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.read(1), "bitwright run printed nothing"
        row.bitwright.append(time.perf_counter() - started)
    if args.peer:
        started = time.perf_counter()
        run_peer(file, args, "-p", FIRST, "-n", 0, "--no-warmup")
        row.llama_cpp.append(time.perf_counter() - started)


def prompt_of(engine: bw.Engine) -> str:
    """Words that make FIRST tokens, or the next possible number."""
    words: list[str] = []
    while len(engine.tokenizer.encode(" ".join(words))) < FIRST:
        words.append(("one", "two", "three", "four", "five")[len(words) % 5])
    return " ".join(words)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="llama-bench of a llama.cpp built for this machine")
    parser.add_argument("--batched", type=Path, help="its llama-batched-bench, for sequences decoded together")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="GGUF files to time")
    parser.add_argument("--model", help="the file to quantize; all recipes need float16 and rows of a multiple of 256")
    parser.add_argument("--formats", default="q4_k_m,q4_0,q8_0,f16", help="recipes, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-p", "--prompt", type=int, nargs="+", default=[512], help="tokens of a prefill")
    parser.add_argument("-n", "--tokens", type=int, default=128)
    parser.add_argument("-d", "--depth", type=int, nargs="*", default=[], help="also time decoding after so many")
    parser.add_argument("-s", "--sequences", type=int, nargs="*", default=[8], help="sequences decoded together")
    parser.add_argument("--kv", default="f16", help="format of the key-value cache in both: f16, bf16, q8_0, q4_0")
    parser.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--save", action="store_true", help="write the result to benchmarks/results/")
    return parser.parse_args()


def files_of(args: argparse.Namespace) -> list[Path]:
    if args.files and not args.model:
        return list(args.files)
    WORK.mkdir(parents=True, exist_ok=True)
    source = hub.resolve(args.model or "smollm2-135m")
    made = [WORK / f"{source.name.split('.')[0]}.{recipe}.gguf" for recipe in args.formats.split(",")]
    for recipe, file in zip(args.formats.split(","), made, strict=True):
        quantize(source, recipe, file, threads=args.threads, method="rtn")
    return [*made, *args.files]


def main() -> None:
    args = arguments()
    all_rows = {file: Rows(Row) for file in files_of(args)}
    meter, reads = bw.kernels.Meter(args.threads), []
    with output.progress("comparing") as progress:
        for done in range(args.rounds):
            for file, rows in all_rows.items():
                progress(done, args.rounds, file.name)
                reads.append(time_bitwright(file, rows, args, meter))
                if args.peer:
                    time_peer(file, rows, args)
                if args.batched and args.sequences:
                    time_peer_together(file, rows, args)
                time_first_token(file, rows, args)
    machine = describe_machine(args.threads)
    machine |= {"kv": args.kv, "rounds": args.rounds}
    machine["read_gb_s"] = f"{statistics.median(reads):.1f} ({min(reads):.1f}-{max(reads):.1f})"
    print(*(f"{key}: {value}" for key, value in machine.items()), "", sep="\n")
    table = [(file.stem, *row.cells(what)) for file, rows in all_rows.items() for what, row in rows.items()]
    output.print_table(HEADERS, table)
    if args.save:
        name = "-".join(dict.fromkeys(file.name.split(".")[0] for file in all_rows))
        text = "# bitwright compared with llama.cpp\n\nMade by `benchmarks/compare.py`, which explains the rows."
        target = save(name, text, HEADERS, table, machine)
        rows = {file.name: {what: asdict(row) for what, row in rows.items()} for file, rows in all_rows.items()}
        target.with_suffix(".json").write_text(json.dumps({**machine, "files": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
