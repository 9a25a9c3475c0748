"""Where the time of `calibrate --hessian` and of error feedback goes, compared with the arithmetic they need.

    python benchmarks/make_model.py f16 0.5b.f16.gguf --shape 0.5b --layers 4
    python benchmarks/bench_calibrate.py 0.5b.f16.gguf
    python benchmarks/bench_calibrate.py 0.5b.f16.gguf --feedback q4_k,q6_k --rows 256

Seconds are CPU seconds of all threads, so that they mean something on a busy machine; tokens are random. The arithmetic
is what cannot be left out: products forward and backward, and one half of the symmetric second moments. The bound is
that arithmetic at the measured float32 peak of one core. A Qwen2.5-7B is estimated from the rate of each stage.
--feedback encodes the first rows of a layer's matrices with second moments of random inputs instead.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from make_model import SIZES, Sizes, moments, tensors

from bitwright import formats, kernels
from bitwright.calibration import labels
from bitwright.calibration import second_moments as gathering
from bitwright.calibration.collector import Sums
from bitwright.calibration.moments import unpack
from bitwright.cli import output
from bitwright.kernels import tape
from bitwright.kernels.meter import Meter
from bitwright.kernels.products import Products
from bitwright.kernels.sharing import single_blas
from bitwright.model.model import Model, load
from bitwright.quantizers.feedback import ROUNDS, damped, supports_feedback
from bitwright.quantizers.quantizer import EFFORT

HEADINGS = ("stage", ">CPU s", ">arithmetic, GF", ">GF/s", ">share of peak")
PRODUCTS, MOMENTS = ("products forward", "products backward"), "second moments"


class Work(NamedTuple):
    """For one token: multiplications with weights, of the products of second moments, and logits."""

    weights: float
    squares: float
    logits: float

    @classmethod
    def of(cls, model: Model) -> Work:
        """Counted over the ops of a model's step."""
        products = [op for op in model.step.ops if op.kind == "linear"]
        shapes = [model.tensors[op.weights[0]].shape for op in products]
        inputs = {op.inputs[0].id: shape[1] for op, shape in zip(products, shapes, strict=True)}
        squares = sum(columns * (columns + 1) / 2 for columns in inputs.values())
        return cls(sum(rows * columns for rows, columns in shapes), squares, shapes[-1][0])

    @classmethod
    def of_sizes(cls, sizes: Sizes) -> Work:
        """The same for a Qwen2.5."""
        shapes = [tensor.shape for tensor in tensors(sizes) if len(tensor.shape) == 2]  # the embedding is the head
        own, hidden = (columns * (columns + 1) / 2 for columns in (sizes.width, sizes.feed_forward))
        squares = sizes.layers * (3 * own + hidden) + own
        return cls(sum(rows * columns for rows, columns in shapes), squares, shapes[0][0])

    def gflop(self, stage: str) -> float:
        """What a token needs in a stage; 0 for stages that a bound need not have."""
        return 2e-9 * (self.weights if stage in PRODUCTS else self.squares if stage == MOMENTS else 0)

    @property
    def total(self) -> float:
        """What a token needs."""
        return sum(self.gflop(stage) for stage in (*PRODUCTS, MOMENTS))


class Stages:
    """CPU seconds by stage, of functions that are wrapped for it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def wrap(self, owner: Any, name: str, stage: str, clock: Callable[[], float]) -> None:
        """Count the time of owner.name by `clock`: of the process, or of a thread for what several threads call."""
        original = getattr(owner, name)

        def timed(*arguments: Any, **more: Any) -> Any:
            started = clock()
            try:
                return original(*arguments, **more)
            finally:
                self.seconds[stage] += clock() - started

        setattr(owner, name, timed)


def calibrating(path: Path, chunks: int, context: int, threads: int | None, peak: float) -> None:
    model, stages = load(path), Stages()
    stages.wrap(Products, "forward", PRODUCTS[0], time.process_time)
    stages.wrap(Products, "backward", PRODUCTS[1], time.process_time)
    stages.wrap(tape, "shared", "attention, norms and other ops", time.process_time)
    stages.wrap(Sums, "add", MOMENTS, time.process_time)
    stages.wrap(labels, "of_labels", "labels and their gradient", time.thread_time)
    pieces = np.random.default_rng(0).integers(0, model.config.vocabulary, (chunks, context), dtype=np.int32)
    started = time.process_time()
    gathering.seconds_for(model, pieces, threads=threads)
    whole = time.process_time() - started
    work, big, tokens = Work.of(model), Work.of_sizes(SIZES["7b"]), pieces.size
    stages.seconds["rest"] = whole - sum(stages.seconds.values())
    rows, estimate = [], 0.0
    for stage, seconds in stages.seconds.items():
        done = work.gflop(stage) * tokens
        rows.append(row(stage, seconds, done, peak))
        scale = big.logits / work.logits if stage.startswith("labels") else big.weights / work.weights
        estimate += seconds / tokens * (big.gflop(stage) / work.gflop(stage) if done else scale)
    rows.append(row("all", whole, work.total * tokens, peak))
    output.print_table(HEADINGS, rows)
    print()
    bound = work.total / peak
    print(f"{tokens} tokens; a token takes {whole / tokens:.4f} CPU s, {whole / tokens / bound:.2f} times the bound")
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at most, "
          f"of which the file may be {model.file_bytes / 2**30:.2f} GiB")  # fmt: skip
    print(f"a Qwen2.5-7B: {estimate:.2f} CPU s per token, {estimate * peak / big.total:.2f} times its bound; "
          f"20,000 tokens on two cores: {20_000 * estimate / 2 / 3600:.1f} h")  # fmt: skip


def feeding_back(path: Path, names: list[str], most: int, peak: float) -> None:
    """The matrices of the middle layer, whose time stands for all."""
    model, rounds = load(path), ROUNDS[EFFORT]
    middle = f"blk.{len(model.config.layers) // 2}."
    targets = [formats.get(name) for name in names]
    own = [tensor for name, tensor in model.tensors.items() if name.startswith(middle) and len(tensor.shape) == 2
           and all(supports_feedback(format, tensor.shape[1]) for format in targets)]  # fmt: skip
    rows = []
    for columns in sorted({tensor.shape[1] for tensor in own}):
        hessian = damped(unpack(moments(columns)[0], columns), copy=False)
        started = time.process_time()
        factor = kernels.factored(hessian)
        rows.append(row(f"factor of {columns} columns", time.process_time() - started, columns**3 / 3e9, peak))
        tensor = max((tensor for tensor in own if tensor.shape[1] == columns), key=lambda tensor: tensor.shape[0])
        weights = kernels.dequantize(tensor.format, tensor.data[:most])
        for format in targets:
            started = time.process_time()
            kernels.feedback(format, weights, hessian, rounds, factor=factor)
            needed = (1 + 2 * rounds) * len(weights) * columns**2 / 1e9
            stage = f"{format.name}, {len(weights)} rows of {columns}"
            rows.append(row(stage, time.process_time() - started, needed, peak))
    output.print_table(HEADINGS, rows)


def row(stage: str, seconds: float, gflop: float, peak: float) -> tuple[str, ...]:
    rate = gflop / seconds
    cells = (f"{gflop:.0f}", f"{rate:.1f}", f"{100 * rate / peak:.0f}%") if gflop else ("-", "-", "-")
    return stage, f"{seconds:.2f}", *cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--chunks", type=int, default=2)
    parser.add_argument("--context", type=int, default=512, help="tokens in a chunk")
    parser.add_argument("-t", "--threads", type=int)
    parser.add_argument("--feedback", metavar="FORMATS", help="time error feedback to these formats")
    parser.add_argument("--rows", type=int, default=512, help="how many rows of a matrix to encode")
    arguments = parser.parse_args()
    peak = Meter(1).float32_gflop_s()
    print(f"float32 peak of a core: {peak:.1f} GF/s\n")
    with single_blas():
        if arguments.feedback:
            feeding_back(arguments.model, arguments.feedback.split(","), arguments.rows, peak)
        else:
            calibrating(arguments.model, arguments.chunks, arguments.context, arguments.threads, peak)


if __name__ == "__main__":
    main()
