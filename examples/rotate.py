"""Writes a Llama model of packed weights as a float16 model that computes the same function.

    python examples/rotate.py smollm2-135m rotated.gguf             as wide as the source
    python examples/rotate.py smollm2-135m widened.gguf --widen     576 columns become 768

Package indexes carry models that are already quantized. Their weights lie on a coarse grid, so quantizing them again
says little. An orthogonal change of basis of the residual stream leaves the function as it is and moves every weight
off its grid: what reads the stream is multiplied by the transposed rotation, what writes it by the rotation. RMSNorm
does not see a rotation once its gains are folded into the weights after it, and the head needs a copy of its own for
that. Channels are mixed in random groups of four, so most outliers stay.

--widen mixes groups of three channels and an empty one, so that rows are whole blocks of 256, and adds attention heads
whose output nothing reads. The inputs then span only three quarters of the directions, which flatters error feedback:
compare methods on the plain kind too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.cli import models
from bitwright.errors import UsageError
from bitwright.io import gguf
from bitwright.io.gguf import GGUF, Typed

SEED = 20261124
Floats = NDArray[Any]


class Rotation:
    """Turns groups of `real` channels of a residual stream of `width` into groups of four."""

    def __init__(self, width: int, real: int = 4) -> None:
        if width % real:
            raise UsageError(f"cannot mix {width} channels in groups of {real}")
        random = np.random.default_rng(SEED)
        self.groups = random.permutation(width).reshape(-1, real)
        self.width = 4 * len(self.groups)
        self.share = real / 4  # of the new channels that were there before
        self.turns = np.stack([np.linalg.qr(random.normal(size=(4, 4)))[0][:, :real] for _ in self.groups])

    def written(self, weight: Floats) -> Floats:
        """For a weight (width, columns) that writes the stream: the one (self.width, columns) that writes it turned."""
        return (self.turns @ weight[self.groups]).reshape(self.width, -1)

    def read(self, weight: Floats) -> Floats:
        """For a weight (rows, width) that reads the stream: the one (rows, self.width) that reads it turned."""
        return self.written(weight.T).T


def turned(source: GGUF, rotation: Rotation, extra: int, extra_kv: int) -> dict[str, Floats]:
    """All tensors after the rotation, matrices in float16; extra: columns of attention that nothing may write."""

    def weight(name: str) -> Floats:
        return source.tensor(name).dequantize()

    def read(name: str, norm: str, copied: int = 0) -> Floats:
        new = rotation.read(weight(name) * weight(norm)).astype(np.float16)
        return np.concatenate([new, new[:copied]])

    def written(name: str, empty: int = 0) -> Floats:
        return np.pad(rotation.written(weight(name)).astype(np.float16), ((0, 0), (0, empty)))

    embedding = "token_embd.weight"
    head = "output.weight" if "output.weight" in source.tensors else embedding
    gains = np.full(rotation.width, np.sqrt(rotation.share), np.float32)
    made = {
        embedding: rotation.read(weight(embedding)).astype(np.float16),
        "output.weight": read(head, "output_norm.weight"),
        "output_norm.weight": gains,
    }
    for layer in range(source.metadata["llama.block_count"]):
        name = f"blk.{layer}.{{}}.weight".format
        made |= {name(norm): gains for norm in ("attn_norm", "ffn_norm")}
        for part, copied in (("attn_q", extra), ("attn_k", extra_kv), ("attn_v", extra_kv)):
            made[name(part)] = read(name(part), name("attn_norm"), copied)
        made |= {name(part): read(name(part), name("ffn_norm")) for part in ("ffn_gate", "ffn_up")}
        made[name("attn_output")] = written(name("attn_output"), extra)
        made[name("ffn_down")] = written(name("ffn_down"))
    return made


def rotate(source: GGUF, target: Path, widen: bool = False) -> None:
    """Write the Llama model `source` with its residual stream rotated. UsageError for another architecture."""
    known = source.metadata
    if known["general.architecture"] != "llama":
        raise UsageError(f"{source.path.name}: expected the architecture llama, got {known['general.architecture']}")
    keys = ("embedding_length", "attention.head_count", "attention.head_count_kv")
    width, heads, kv_heads = (known[f"llama.{key}"] for key in keys)
    size = width // heads
    more, more_kv = (heads // 3, kv_heads // 3) if widen else (0, 0)
    rotation = Rotation(width, 3 if widen else 4)
    epsilon = known["llama.attention.layer_norm_rms_epsilon"] * rotation.share
    numbers = {
        "general.file_type": 1,
        "llama.embedding_length": rotation.width,
        "llama.attention.head_count": heads + more,
        "llama.attention.head_count_kv": kv_heads + more_kv,
        "llama.attention.key_length": size,
        "llama.attention.value_length": size,
    }
    metadata = known.typed() | {key: Typed(number, "uint32") for key, number in numbers.items()}
    metadata["llama.attention.layer_norm_rms_epsilon"] = Typed(epsilon, "float32")
    metadata["general.name"] = Typed(f"{known['general.name']} {'widened' if widen else 'rotated'}", "string")
    made = turned(source, rotation, more * size, more_kv * size)
    kinds = {np.dtype(kind): formats.get(kind) for kind in ("float16", "float32")}
    gguf.write(target, metadata, [(name, w.shape, kinds[w.dtype], lambda w=w: w) for name, w in made.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a Llama model: a path, a name on the hub or a built-in name")
    parser.add_argument("target", type=Path)
    parser.add_argument("--widen", action="store_true", help="mix three channels and an empty one")
    arguments = parser.parse_args()
    rotate(gguf.open(models.resolve(arguments.source)), arguments.target, arguments.widen)


if __name__ == "__main__":
    main()
