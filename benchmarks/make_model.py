"""Writes a quantized model with the shape of Qwen2.5-1.5B and random weights, for timing engines.

    python benchmarks/make_model.py q4_k_m 1.5b.q4_k_m.gguf

28 layers of width 1536, 8960 in the feed-forward, 12 heads and 2 key-value heads of 128, a vocabulary of 151,936
without texts (llama.cpp's "no_vocab"), embedding and output tied: 1.54 G parameters. --shape takes another Qwen2.5.
Each tensor repeats 256 random rows: values do not affect timing, and encoding all of them would take minutes. Only one
tensor is in memory at a time.
--stats also writes second moments of random inputs, for timing `quantize --method feedback` on an f16 model.
--vocabulary takes the tokenizer of another GGUF and fills its vocabulary up, so that the model reads text, as `fit`
must.
"""

from __future__ import annotations

import argparse
import math
import zlib
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitwright import calibration, formats
from bitwright.calibration import ActivationStatistics, SecondMoment, SquareSums
from bitwright.calibration.moments import pack
from bitwright.cli import output
from bitwright.formats import Format
from bitwright.io import gguf
from bitwright.io.gguf import Typed
from bitwright.quantizers.tensor import encode_rows
from bitwright.recipes import FILE_TYPES, Recipe, Shape

VOCABULARY, CONTEXT = 151_936, 32_768
OWN_ROWS = 256


class Sizes(NamedTuple):
    """Of a Qwen2.5."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int


SIZES = {
    "0.5b": Sizes(24, 896, 4864, 14, 2, 64),
    "1.5b": Sizes(28, 1536, 8960, 12, 2, 128),
    "7b": Sizes(28, 3584, 18944, 28, 4, 128),  # whose embeddings are not tied
}


class Tensor(NamedTuple):
    name: str
    shape: tuple[int, ...]
    format: Format


def vocabulary(file: Path | None) -> dict[str, Typed]:
    """The metadata of a tokenizer: none, or another file's with unused tokens at its end."""
    if file is None:
        return {"tokenizer.ggml.model": Typed("no_vocab", "string")}
    found = {key: own for key, own in gguf.open(file).metadata.typed().items() if key.startswith("tokenizer.ggml.")}
    missing = VOCABULARY - len(found["tokenizer.ggml.tokens"].value)
    fill = {"tokens": [f"[unused {n}]" for n in range(missing)], "token_type": [5] * missing, "scores": [0.0] * missing}
    for name, more in fill.items():
        if own := found.get(key := f"tokenizer.ggml.{name}"):
            found[key] = Typed([*own.value, *more], own.type)
    return found


def metadata(file_type: int, sizes: Sizes, tokenizer: Path | None) -> dict[str, Typed]:
    numbers = {
        "block_count": sizes.layers,
        "context_length": CONTEXT,
        "embedding_length": sizes.width,
        "feed_forward_length": sizes.feed_forward,
        "attention.head_count": sizes.heads,
        "attention.head_count_kv": sizes.kv_heads,
        "vocab_size": VOCABULARY,
    }
    return {
        "general.architecture": Typed("qwen2", "string"),
        "general.file_type": Typed(file_type, "uint32"),
        "general.quantization_version": Typed(2, "uint32"),
        **vocabulary(tokenizer),
        "qwen2.rope.freq_base": Typed(1e6, "float32"),
        "qwen2.attention.layer_norm_rms_epsilon": Typed(1e-6, "float32"),
        **{f"qwen2.{key}": Typed(value, "uint32") for key, value in numbers.items()},
    }


def tensors(sizes: Sizes) -> list[Tensor]:
    """All tensors as float32, for a recipe to assign formats to."""
    width, q, kv = sizes.width, sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (width,),
        "attn_q.weight": (q, width),
        "attn_q.bias": (q,),
        "attn_k.weight": (kv, width),
        "attn_k.bias": (kv,),
        "attn_v.weight": (kv, width),
        "attn_v.bias": (kv,),
        "attn_output.weight": (width, q),
        "ffn_norm.weight": (width,),
        "ffn_gate.weight": (sizes.feed_forward, width),
        "ffn_up.weight": (sizes.feed_forward, width),
        "ffn_down.weight": (width, sizes.feed_forward),
    }
    shapes = {"token_embd.weight": (VOCABULARY, width), "output_norm.weight": (width,)}
    shapes |= {f"blk.{i}.{name}": shape for i in range(sizes.layers) for name, shape in layer.items()}
    return [Tensor(name, shape, formats.get("float32")) for name, shape in shapes.items()]


def data(tensor: Tensor, format: Format) -> np.ndarray[Any, Any]:
    """The bytes of the tensor in `format`, with values that keep the magnitude of activations."""
    random = np.random.default_rng(zlib.crc32(tensor.name.encode()))
    if len(tensor.shape) == 1:
        return (1.0 + 0.1 * random.standard_normal(tensor.shape)).astype(np.float32) * tensor.name.endswith("weight")
    rows, columns = tensor.shape
    values = random.standard_normal((min(rows, OWN_ROWS), columns), np.float32) / np.float32(math.sqrt(columns))
    return np.resize(encode_rows(values, format, name=tensor.name, method="rtn"), (rows, format.row_bytes(columns)))


@cache
def moments(columns: int) -> np.ndarray[Any, Any]:
    """Packed second moments (1, columns (columns + 1) / 2) of fewer inputs than columns, and some noise."""
    inputs = np.random.default_rng(columns).standard_normal((512, columns)).astype(np.float32)
    matrix = inputs.T @ inputs / np.float32(len(inputs))
    matrix[np.diag_indices(columns)] += np.float32(0.1)
    return pack(matrix)[None]


def statistics(sizes: Sizes) -> ActivationStatistics:
    """Second moments of every matrix; those of one width are the same, and are read one at a time."""
    weights = [(t.name, t.shape[-1]) for t in tensors(sizes) if len(t.shape) == 2]
    groups = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))
    names = [tuple(f"blk.{i}.{name}.weight" for name in group) for i in range(sizes.layers) for group in groups]
    width = dict(weights)
    found = [
        SecondMoment(of, "plain", 1, width[of[0]], partial(moments, width[of[0]]))
        for of in [("token_embd.weight",), *names]
    ]
    gathered = {name: SquareSums(np.ones((1, columns)), np.ones(1, np.int64)) for name, columns in weights}
    return ActivationStatistics(gathered, ("random",), 1, 512, tuple(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="q4_k_m, q4_0, q8_0, f16 or any other recipe of bitwright quantize")
    parser.add_argument("output", type=Path)
    parser.add_argument("--shape", choices=SIZES, default="1.5b", help="which Qwen2.5")
    parser.add_argument("--layers", type=int, help="number of layers; fewer than the shape has for a quick test")
    parser.add_argument("--stats", type=Path, metavar="FILE", help="also write second moments")
    parser.add_argument("--vocabulary", type=Path, metavar="GGUF", help="whose tokenizer the model gets")
    arguments = parser.parse_args()
    sizes = SIZES[arguments.shape]
    sizes = sizes._replace(layers=arguments.layers or sizes.layers)
    if arguments.stats:
        calibration.write(arguments.stats, statistics(sizes))
    recipe, plain = Recipe.named(arguments.recipe), tensors(sizes)
    number = FILE_TYPES[recipe.file_type or ""].number
    assigned = recipe.assign(Shape("qwen2", sizes.layers, sizes.heads, sizes.kv_heads), plain)
    stored = [(t.name, t.shape, a.format, partial(data, t, a.format)) for t, a in zip(plain, assigned, strict=True)]
    size = gguf.write(arguments.output, metadata(number, sizes, arguments.vocabulary), stored)
    print(f"wrote {arguments.output}: {output.human_bytes(size)}")


if __name__ == "__main__":
    main()
