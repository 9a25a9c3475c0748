"""bitwright beside llama.cpp on the same files, in one run, turn by turn.

    python benchmarks/compare.py --peer PATH/llama-bench --model model.f16.gguf --formats q4_k_m,q8_0 --save

Each file is made by bitwright's quantizer. A round times bitwright (in this process) and then the peer on every
file, so that both meet the same weather; medians over the rounds are printed, with ratios above 1 where bitwright is
faster. The share is of the read bandwidth measured here: bytes of weights read per decoded token, times tokens per
second. Where llama-quantize lies beside llama-bench, the time to quantize is compared too. Without --peer, bitwright is
timed alone.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import bitwright as bw
from bitwright.cli import output
from bitwright.evaluate import speed
from bitwright.io import hub

HERE = Path(__file__).parent
WORK = HERE.parent / "build/compare"


@dataclass
class Series:
    """What the rounds measured for one recipe; the peer's lists stay empty without a peer."""

    recipe: str
    file: Path
    bytes: int = 0
    prefill: list[float] = field(default_factory=list)  # tokens per second
    decode: list[float] = field(default_factory=list)
    quantize: list[float] = field(default_factory=list)  # seconds
    peer_prefill: list[float] = field(default_factory=list)
    peer_decode: list[float] = field(default_factory=list)
    peer_quantize: list[float] = field(default_factory=list)
    bytes_per_token: int = 0


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def time_quantizers(source: Path, series: Series, peer: Path | None, threads: int) -> None:
    """One round of writing the file: bitwright, then the peer into a file that is thrown away."""
    series.quantize.append(seconds(lambda: bw.quantize(source, series.recipe, series.file, threads=threads)))
    series.bytes = series.file.stat().st_size
    tool = peer.with_name("llama-quantize") if peer else None
    if tool is None or not tool.exists():
        return
    target = series.file.with_suffix(".peer")
    command = [tool, "--allow-requantize", source, target, series.recipe, str(threads)]
    series.peer_quantize.append(seconds(lambda: subprocess.run(command, check=True, capture_output=True)))
    target.unlink()


def time_bitwright(series: Series, prompt: int, tokens: int, threads: int) -> None:
    """One prefill and one decode after a warm-up of each."""
    model = bw.load(series.file, context=max(prompt, tokens), threads=threads)
    series.bytes_per_token = model.bytes_per_token
    ids = np.random.default_rng(0).integers(0, model.config.vocabulary, max(prompt, tokens)).tolist()
    session = model.session()
    speed.seconds_to_prefill(session, ids[:prompt])
    speed.seconds_to_decode(session, [], ids[:2])
    series.prefill.append(prompt / speed.seconds_to_prefill(session, ids[:prompt]))
    series.decode.append(tokens / speed.seconds_to_decode(session, [], ids[:tokens]))


def time_peer(series: Series, peer: Path, prompt: int, tokens: int, threads: int) -> None:
    """The same with llama-bench, which warms up by itself."""
    command = [
        peer,
        "-m",
        series.file,
        "-p",
        str(prompt),
        "-n",
        str(tokens),
        "-r",
        "1",
        "-t",
        str(threads),
        "-o",
        "json",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for row in json.loads(done.stdout):
        (series.peer_prefill if row["n_prompt"] else series.peer_decode).append(row["avg_ts"])


def median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def ratio(ours: list[float], theirs: list[float]) -> str:
    """How many times faster, by medians, with the spread over the rounds."""
    if not ours or not theirs:
        return "-"
    rounds = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ours) / statistics.median(theirs):.2f} ({min(rounds):.2f}-{max(rounds):.2f})"


def number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def report(all_series: list[Series], read_gb_s: float, machine: dict[str, object]) -> None:
    for key, value in machine.items():
        print(f"{key}: {value}")
    print()
    rows = []
    for s in all_series:
        decode = median(s.decode) or 0
        inverse = [[1 / x for x in s.quantize], [1 / x for x in s.peer_quantize]]
        rows += [
            (
                s.recipe,
                "prefill tokens/s",
                number(median(s.prefill)),
                number(median(s.peer_prefill)),
                ratio(s.prefill, s.peer_prefill),
                "",
            ),
            (
                "",
                "decode tokens/s",
                number(decode),
                number(median(s.peer_decode)),
                ratio(s.decode, s.peer_decode),
                f"{100 * decode * s.bytes_per_token / 1e9 / read_gb_s:.0f}%",
            ),
            (
                "",
                "quantize seconds",
                number(median(s.quantize), 2),
                number(median(s.peer_quantize), 2),
                ratio(*inverse),
                "",
            ),
        ]
    output.print_table(["file", "what", ">bitwright", ">llama.cpp", ">times as fast", ">of read bandwidth"], rows)


def describe_machine(threads: int) -> dict[str, object]:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{cpu or platform.machine()}, {os.cpu_count()} cores",
        "tier": bw.kernels.tier(),
        "threads": threads,
        "commit": commit or "unknown",
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="llama-bench of a llama.cpp built for this machine")
    parser.add_argument(
        "--model", default="smollm2-135m", help="what is quantized; float16 and rows of 256 show all recipes"
    )
    parser.add_argument("--formats", default="q4_k_m,q4_0,q8_0", help="recipes, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-p", "--prompt", type=int, default=512)
    parser.add_argument("-n", "--tokens", type=int, default=128)
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--save", action="store_true", help="keep the result in benchmarks/results/")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    source = hub.resolve(args.model)
    all_series = [Series(recipe, WORK / f"{source.stem}.{recipe}.gguf") for recipe in args.formats.split(",")]
    read_gb_s, meter = 0.0, bw.kernels.Meter(args.threads)
    with output.progress("comparing") as progress:
        for done in range(args.rounds):
            read_gb_s = max(read_gb_s, meter.read_gb_s())
            for s in all_series:
                progress(done, args.rounds, s.recipe)
                time_quantizers(source, s, args.peer, args.threads)
                time_bitwright(s, args.prompt, args.tokens, args.threads)
                if args.peer:
                    time_peer(s, args.peer, args.prompt, args.tokens, args.threads)
    machine = describe_machine(args.threads) | {"read_gb_s": round(read_gb_s, 2)}
    report(all_series, read_gb_s, machine)
    if args.save:
        target = HERE / "results" / f"{machine['date']}-{machine['tier']}-{machine['commit']}.json"
        target.parent.mkdir(exist_ok=True)
        series = [{**asdict(s), "file": s.file.name} for s in all_series]
        target.write_text(
            json.dumps({**machine, "prompt": args.prompt, "tokens": args.tokens, "series": series}, indent=1) + "\n"
        )
        output.remark(f"saved {target}")


if __name__ == "__main__":
    main()
