"""The models of llama.cpp's snapshots of tensor types, as lists of their matrices, and the snapshots' parser.

A snapshot states a model's numbers of layers, heads and experts and which tensors differ from a file type's base.
Tensors have the names and shapes of the GGUF files that it was made from. 1-D tensors and norms are left out, because
no recipe changes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bitwright import formats
from bitwright.formats import Format
from bitwright.recipes.rules import Shape


class Matrix(NamedTuple):
    name: str
    shape: tuple[int, ...]
    format: Format


def header(path: Path) -> dict[str, int]:
    """The numbers in the first comment: n_embd, n_ff, n_vocab, n_layer, n_head, n_head_kv, and n_expert or 0."""
    found = dict(re.findall(r"(n_\w+)=(\d+)", path.read_text().split("\n\n", 1)[0]))
    return {"n_expert": 0} | {key: int(value) for key, value in found.items()}


def sections(path: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """File type -> (base format, tensor -> format where it differs)."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    differing: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            name, base = line[1:].split("] ")
            differing = {}
            found[name.lower()] = (base.lower(), differing)
        elif line and not line.startswith("#"):
            tensor, format = line.rsplit(" ", 1)
            differing[tensor] = format.lower()
    return found


ARCHITECTURES = {
    "deepseek-v3.1": "deepseek2", "glm-4.6v": "glm4moe", "meta-llama-3.1-70b-instruct": "llama", "qwen3-0.6b": "qwen3",
    "qwen3-coder-next": "qwen3next", "qwen3.5-397b-a17b": "qwen35moe",
}  # fmt: skip


def model(path: Path) -> tuple[Shape, list[Matrix]]:
    """The model's shape and its matrices, from the snapshot's header and the known tensors of its architecture."""
    h = header(path)
    architecture = ARCHITECTURES[path.stem]
    builders = {"deepseek2": _deepseek, "glm4moe": _glm, "qwen3next": _hybrid, "qwen35moe": _hybrid}
    build = builders.get(architecture, _dense)
    f32 = formats.get("f32")
    table = [("token_embd", (h["n_vocab"], h["n_embd"])), ("output", (h["n_vocab"], h["n_embd"]))]
    table += [(f"blk.{i}.{name}", shape) for i in range(h["n_layer"]) for name, shape in build(i, h)]
    matrices = [Matrix(f"{name}.weight", shape, f32) for name, shape in table]
    return Shape(architecture, h["n_layer"], h["n_head"], h["n_head_kv"], h["n_expert"]), matrices


Named = Iterator[tuple[str, tuple[int, ...]]]


def _attention(width: int, queries: int, keys: int) -> Named:
    yield "attn_q", (queries, width)
    yield "attn_k", (keys, width)
    yield "attn_v", (keys, width)
    yield "attn_output", (width, queries)


def _feed_forward(width: int, inner: int, suffix: str = "", experts: tuple[int, ...] = ()) -> Named:
    for name in ("ffn_gate", "ffn_up"):
        yield name + suffix, (*experts, inner, width)
    yield "ffn_down" + suffix, (*experts, width, inner)


def _experts(h: dict[str, int], inner: int) -> Named:
    yield "ffn_gate_inp", (h["n_expert"], h["n_embd"])
    yield from _feed_forward(h["n_embd"], inner, "_exps", (h["n_expert"],))
    yield from _feed_forward(h["n_embd"], inner, "_shexp")


def _dense(i: int, h: dict[str, int]) -> Named:
    yield from _attention(h["n_embd"], 128 * h["n_head"], 128 * h["n_head_kv"])
    yield from _feed_forward(h["n_embd"], h["n_ff"])


def _glm(i: int, h: dict[str, int]) -> Named:
    yield from _attention(h["n_embd"], 128 * h["n_head"], 128 * h["n_head_kv"])
    yield from _feed_forward(h["n_embd"], h["n_ff"]) if i < 1 else _experts(h, 1408)


def _deepseek(i: int, h: dict[str, int]) -> Named:
    """Multi-head latent attention: queries of rank 1536, keys and values of rank 512, and 64 rotated columns."""
    heads, width = h["n_head"], h["n_embd"]
    yield from [("attn_q_a", (1536, width)), ("attn_q_b", (192 * heads, 1536)), ("attn_kv_a_mqa", (512 + 64, width))]
    yield from [("attn_k_b", (heads, 512, 128)), ("attn_v_b", (heads, 128, 512))]
    yield "attn_output", (width, 128 * heads)
    yield from _feed_forward(h["n_embd"], h["n_ff"]) if i < 3 else _experts(h, 2048)


def _hybrid(i: int, h: dict[str, int]) -> Named:
    """Full attention in every fourth layer, gated delta networks in the others."""
    width, next_ = h["n_embd"], h["n_embd"] == 2048
    if i % 4 == 3:
        yield from _attention(width, 2 * 256 * h["n_head"], 256 * h["n_head_kv"])
    else:
        yield from [("attn_qkv", (8192, width)), ("attn_gate", (4096, width))]
        yield from [("ssm_out", (width, 4096)), ("ssm_conv1d", (8192, 4))]
        yield from [("ssm_ba", (64, width))] if next_ else [("ssm_alpha", (64, width)), ("ssm_beta", (64, width))]
    yield from _experts(h, 512 if next_ else 1024)
