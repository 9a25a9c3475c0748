"""Compares reading a prompt in gated delta nets with llama.cpp, in CPU time of one thread.

    python benchmarks/bench_delta_net.py --llama-bench PATH

The model has the delta nets of Qwen3.5 9B (16 heads of keys and 32 of values, of 128 each), random weights and hardly
anything else: width 64, one layer of attention in eight. So most of the time is that of convolutions and delta rules.
The two take turns; llama.cpp's time is that of further repetitions, without loading.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from bench_mixture import data

from bitwright import formats
from bitwright.cli import output
from bitwright.engine import load
from bitwright.io import gguf
from bitwright.model.architectures.blueprint import TensorSpec
from bitwright.model.architectures.families import blueprint

REPEATED = 4  # times that llama.cpp reads the prompt for one measurement
CONFIG = {
    "model_type": "qwen3_5_text",
    "hidden_size": 64,
    "num_hidden_layers": 8,
    "full_attention_interval": 8,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "intermediate_size": 64,
    "vocab_size": 256,
    "max_position_embeddings": 4096,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-bench", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-n", "--tokens", type=int, default=512)
    args = parser.parse_args()
    ids = np.random.default_rng(1).integers(0, CONFIG["vocab_size"], args.tokens).tolist()
    ours, theirs = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delta.gguf"
        write(path)
        session = load(path, context=args.tokens, threads=1).session()
        session.prefill(ids)
        for _ in range(args.rounds):
            started = time.process_time()
            for _ in range(REPEATED):
                session.reset()
                session.prefill(ids)
            ours.append((time.process_time() - started) / REPEATED)
            bench = partial(cpu_seconds, args.llama_bench, path, args.tokens)
            theirs.append((bench(1 + REPEATED) - bench(1)) / REPEATED)
    rows = [
        [name, *(f"{args.tokens / seconds:,.0f}" for seconds in (statistics.median(own), min(own)))]
        for name, own in (("bitwright", ours), ("llama.cpp", theirs))
    ]
    output.print_table(["", ">tokens per second of CPU time, median", ">best"], rows)
    times = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    print(f"bitwright is {times:.1f} times as fast (median of the rounds)")


def cpu_seconds(llama_bench: Path, model: Path, tokens: int, repetitions: int) -> float:
    """Of a run of llama-bench."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [llama_bench, "-m", model, "-p", str(tokens), "-n", "0", "-t", "1", "-r", str(repetitions)]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write(path: Path) -> None:
    made = blueprint(CONFIG, path, formats.get("q8_0"))
    tensors = [(t.name, t.shape, t.format, partial(values, t)) for t in made.tensors]
    about = {"general.architecture": made.architecture, "tokenizer.ggml.model": "no_vocab"}
    gguf.write(path, about | made.metadata, tensors)


def values(tensor: TensorSpec) -> np.ndarray:
    """As of the mixture, but states shrink."""
    if tensor.name.endswith("ssm_a"):
        return np.full(tensor.shape, -1, np.float32)
    return data(tensor)


if __name__ == "__main__":
    main()
