"""Compares quantizing a file (method rtn) with llama-quantize, in turns, and its errors with libgguf's.

    python benchmarks/bench_quantize.py model.f16.gguf --peer PATH/llama-quantize --recipes q4_k_m,q8_0

Seconds are medians over the rounds; MB/s counts the source's bytes; the ratio is above 1 where bitwright is faster.
Errors are root mean squares over up to 1024 rows of every matrix whose rows are whole superblocks; "weighted" is the
error that ggml's search for the format minimizes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import gguf as gguf_package
import libgguf
import numpy as np
from numpy.typing import NDArray

from bitwright import formats, kernels
from bitwright.cli import output
from bitwright.io import gguf
from bitwright.quantizers import quantize

FORMATS = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "mxfp4",
           "nvfp4")  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def speed(source: Path, recipes: list[str], peer: Path | None, threads: int, rounds: int) -> Iterator[tuple[str, ...]]:
    """A table row for each recipe."""
    megabytes = source.stat().st_size / 1e6
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        target = Path(folder) / "out.gguf"
        for recipe in recipes:
            ours, theirs = [], []
            for _ in range(rounds):
                rtn = partial(quantize, source, recipe, target, threads=threads, method="rtn")
                ours.append(seconds(rtn))
                if peer:
                    command = [peer, "--allow-requantize", source, target, recipe, str(threads)]
                    theirs.append(seconds(lambda c=command: subprocess.run(c, check=True, capture_output=True)))
            mine, other = statistics.median(ours), statistics.median(theirs) if theirs else None
            compared = (f"{other:.2f}", f"{other / mine:.2f}") if other else ("-", "-")
            yield recipe, f"{mine:.2f}", f"{megabytes / mine:.0f}", *compared


def weights(name: str, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The weights of squared errors in a format's search; ones for a format without a search."""
    blocks = values.astype(np.float64).reshape(-1, 32 if name in ("q4_k", "q5_k") else 16)
    if name in ("q4_k", "q5_k"):
        weight = np.sqrt((blocks**2).mean(1, keepdims=True)) + abs(blocks)
    elif name in ("q3_k", "q6_k", "iq4_nl", "iq4_xs"):
        weight = blocks**2
    else:
        weight = abs(blocks) if name == "q2_k" else np.ones_like(blocks)
    return weight.reshape(values.shape)


def errors(source: Path, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A table row for each format."""
    file = gguf.open(source)
    matrices = [t for t in file.tensors.values() if len(t.shape) == 2 and t.shape[1] % 256 == 0]
    for name in names:
        format, sums, count = formats.get(name), np.zeros((2, 2)), 0
        kind = gguf_package.GGMLQuantizationType(format.ggml)
        for info in matrices:
            values = info.format.dequantize(file.tensor(info.name).data[:1024])
            weight = weights(name, values)
            data = np.asarray(libgguf.quantize_rows(values, kind)).view(np.uint8).reshape(len(values), -1)
            for i, packed in enumerate((kernels.quantize(format, values, method="rtn"), data)):
                miss = (format.dequantize(packed) - values).astype(np.float64) ** 2
                sums[i] += miss.sum(), (weight * (np.sqrt(miss) if name == "q2_k" else miss)).sum()
            count += values.size
        plain = np.sqrt(sums[:, 0] / max(1, count))
        ratios = np.sqrt(sums[0, 0] / sums[1, 0]), sums[0, 1] / sums[1, 1]
        yield name, f"{plain[0]:.6f}", f"{plain[1]:.6f}", f"{ratios[0]:.5f}", f"{ratios[1]:.5f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a float16 GGUF file")
    parser.add_argument("--peer", type=Path, help="llama-quantize")
    parser.add_argument("--recipes", default="q4_k_m,q4_0,q8_0,q6_k")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default=",".join(FORMATS), help="formats in the table of errors; empty: no table")
    arguments = parser.parse_args()
    rows = speed(arguments.source, arguments.recipes.split(","), arguments.peer, arguments.threads, arguments.rounds)
    output.print_table(["recipe", ">seconds", ">MB/s", ">llama.cpp", ">ratio"], list(rows))
    if arguments.formats:
        print()
        rows = errors(arguments.source, tuple(arguments.formats.split(",")))
        output.print_table(["format", ">rmse", ">libgguf", ">ratio", ">weighted ratio"], list(rows))


if __name__ == "__main__":
    main()
