"""What rounding the inputs of products costs: KL divergence of the next token, compared with inputs in float32.

    python benchmarks/rounded_inputs.py smollm2-135m

NumPy runs the model in float32, its weights rounded to BF16 or F16 first, and rounds only the inputs of products:

- BF16: to bfloat16, as the tier avx512_bf16 does for BF16 weights;
- int8: as for weights in block formats. Every 32 columns have a scale, and of every 1024 columns the two groups with
  the largest scales have a second code;
- 13 bits, a scale per 32 columns, times F16 weights rounded to 14 bits likewise. Dot products of 16-bit integers
  (vpdpwssd) could multiply these.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from wikitext import add_text_option

import bitwright as bw
from bitwright import formats
from bitwright.cli import output
from bitwright.kernels import Oracle
from bitwright.kernels.ops.linear import Linear
from bitwright.measure.softmax import log_probabilities
from bitwright.measure.windows import cut
from bitwright.model.model import Model
from bitwright.statistics import studentized

Floats = NDArray[np.float32]
Weights = dict[str, Floats]
PRODUCT = Linear.meaning


def stored(format: str) -> Callable[[Floats], Floats]:
    """Rounds values (rows, columns) to a format of floats."""
    chosen = formats.get(format)
    return lambda x: chosen.dequantize(chosen.quantize(np.ascontiguousarray(x, np.float32)))


def coded(x: Floats, bits: int) -> Floats:
    """Values (rows, columns) as signed codes, the largest of every 32 columns at the largest code."""
    groups = x.reshape(len(x), -1, 32)
    scales = np.abs(groups).max(-1, keepdims=True) / np.float32(2 ** (bits - 1) - 1)
    return (np.rint(groups / np.where(scales > 0, scales, np.float32(1))) * scales).reshape(x.shape)


def as_int8(x: Floats) -> Floats:
    """Values (rows, columns) in int8, with second codes where the scales are largest."""
    found = coded(x, 8)
    rest, largest = coded(x - found, 8).reshape(len(x), -1, 32), np.abs(x).reshape(len(x), -1, 32).max(-1)
    for first in range(0, largest.shape[1], 32):
        for row, groups in enumerate(first + np.argsort(-largest[:, first : first + 32], axis=1, kind="stable")[:, :2]):
            found.reshape(rest.shape)[row, groups] += rest[row, groups]
    return found


def logits(model: Model, weights: Weights, rounded: Callable[[Floats], Floats], ids: NDArray[np.int32]) -> Floats:
    """The logits (scored tokens, vocabulary) of a chunk, with rounded inputs of all products."""
    positions = np.arange(len(ids))
    with mock.patch.object(Linear, "meaning", lambda op, call, x, *w: PRODUCT(op, call, rounded(x), *w)):
        return Oracle(model.step, weights, np.float32).run(ids, positions, 0 * positions, positions[len(ids) // 2 : -1])


def divergences(base: Floats, own: Floats) -> list[float]:
    """The divergence in nats of each row of logits."""
    rows = ((log_probabilities(a), log_probabilities(b)) for a, b in zip(base, own, strict=True))
    return [float((np.exp(p) * (p - q)).sum()) for p, q in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--chunks", type=int, default=16)
    add_text_option(parser, "-f", "--text")
    args = parser.parse_args()
    engine = bw.load(args.model)
    windows = cut(engine.tokenizer, args.text.read_text(encoding="utf-8"), args.context, args.chunks, spread_out=True)
    products = {op.weights[0] for op in engine.model.step.ops if op.kind == "linear"}

    def weights(*changes: Callable[[Floats], Floats]) -> Weights:
        found = {name: t.dequantize() for name, t in engine.model.tensors.items()}
        for change in changes:
            found |= {name: change(found[name]) for name in products}
        return found

    def measured(exact: Weights, *arms: tuple[Weights, Callable[[Floats], Floats]]) -> list[str]:
        found: list[list[list[float]]] = [[] for _ in arms]
        for ids in windows.ids:
            base = logits(engine.model, exact, np.asarray, ids)
            for (own, rounded), kl in zip(arms, found, strict=True):
                kl.append(divergences(base, logits(engine.model, own, rounded, ids)))
        return [str(studentized.mean(kl, windows.documents)) for kl in found]

    bf16 = weights(stored("bf16"))
    as_bf16, in_int8 = measured(bf16, (bf16, stored("bf16")), (bf16, as_int8))
    f16, short = weights(stored("f16")), weights(stored("f16"), lambda w: coded(w, 14))
    (in_13_bits,) = measured(f16, (short, lambda x: coded(x, 13)))
    rows = [("BF16", "BF16", as_bf16), ("BF16", "int8", in_int8), ("F16 in 14 bits", "13 bits", in_13_bits)]
    output.print_table(["weights", "inputs", ">KL divergence, nats"], rows)


if __name__ == "__main__":
    main()
