"""Compares decoding of a mixture of experts with that of a dense model that reads as many bytes for a token.

    python benchmarks/bench_mixture.py

Both have random weights in one format, the same attention, and feed-forwards of 8 × 512: in the mixture, 8 of 64
experts of 512. They take turns, and the share is that of the dense model's bandwidth.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bitwright import formats
from bitwright.cli import output
from bitwright.engine import load
from bitwright.engine.session import Session
from bitwright.formats import Format
from bitwright.io import gguf
from bitwright.model.architectures.blueprint import TensorSpec
from bitwright.model.architectures.families import blueprint
from bitwright.quantizers.tensor import encode_rows

USED, WIDE, OWN_ROWS = 8, 512, 256
SIZES = {
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "intermediate_size": USED * WIDE,
    "tie_word_embeddings": True,
}
EXPERTS = {"num_experts": 64, "num_experts_per_tok": USED, "moe_intermediate_size": WIDE, "norm_topk_prob": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="q4_k")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("-n", "--tokens", type=int, default=48)
    parser.add_argument("-t", "--threads", type=int)
    args = parser.parse_args()
    sizes = {**SIZES, "num_hidden_layers": args.layers}
    models = {"dense": {**sizes, "model_type": "qwen3"}, "mixture": {**sizes, **EXPERTS, "model_type": "qwen3_moe"}}
    sessions, seconds = dict[str, Session](), {name: list[float]() for name in models}
    with tempfile.TemporaryDirectory() as folder:
        for name, config in models.items():
            path = Path(folder) / f"{name}.gguf"
            write(path, config, formats.get(args.format))
            sessions[name] = load(path, context=1024, threads=args.threads).session()
    ids = np.random.default_rng(1).integers(0, SIZES["vocab_size"], args.tokens).tolist()
    for _ in range(args.rounds):
        for name, session in sessions.items():
            session.reset()
            session.prefill(ids[:1])
            started = time.perf_counter()
            for id in ids:
                session.step(id)
            seconds[name].append((time.perf_counter() - started) / args.tokens)
    read = {name: session.engine.model.bytes_per_token for name, session in sessions.items()}
    rows = []
    for name, own in seconds.items():
        rates = [read[name] / s / 1e9 for s in (statistics.median(own), min(own))]
        rows.append([name, output.human_bytes(read[name]), *(f"{rate:.1f}" for rate in rates)])
    output.print_table(["", ">read for a token", ">GB/s, median", ">best"], rows)
    share, turns = read["mixture"] / read["dense"], zip(seconds["dense"], seconds["mixture"], strict=True)
    reached = statistics.median(share * dense / mixture for dense, mixture in turns)
    print(f"the mixture reaches {reached:.0%} of the dense model's bandwidth (median of the rounds)")


def write(path: Path, config: dict[str, Any], format: Format) -> None:
    made = blueprint(config, path, format)
    tensors = [(t.name, t.shape, t.format, partial(data, t)) for t in made.tensors]
    gguf.write(path, {"general.architecture": made.architecture, **made.metadata}, tensors)


def data(tensor: TensorSpec) -> np.ndarray[Any, Any]:
    """The bytes of a tensor, repeating OWN_ROWS random rows."""
    drawn = np.random.default_rng(zlib.crc32(tensor.name.encode()))
    *_, columns = (1, *tensor.shape)
    if tensor.name.endswith("norm.weight"):
        return np.ones(tensor.shape, np.float32)
    values = drawn.standard_normal((OWN_ROWS, columns), np.float32) / np.float32(columns**0.5)
    rows = values if tensor.format.name == "float32" else encode_rows(values, tensor.format, name=tensor.name)
    return np.resize(rows.view(np.uint8), (int(np.prod(tensor.shape[:-1])), tensor.format.row_bytes(columns)))


if __name__ == "__main__":
    main()
