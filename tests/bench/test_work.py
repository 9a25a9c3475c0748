"""Operations and bytes are counted exactly: compared with a count by hand, and a step with its phases."""

from __future__ import annotations

import numpy as np
import pytest

import bitwright as bw
from bitwright import formats, kernels
from bitwright.bench import profile, work
from bitwright.bench.work import Limits, Work
from bitwright.formats import QuantizedTensor

PROMPT, TOKENS, DEPTH = 9, 4, 3


@pytest.fixture(scope="module")
def engine(stories260k, tmp_path_factory) -> bw.Engine:
    target = tmp_path_factory.mktemp("models") / "stories.q8_0.gguf"
    bw.quantize(stories260k, "q8_0", target)
    return bw.load(target, context=64, threads=1)


@pytest.fixture(scope="module")
def explained(engine) -> profile.Profile:
    return profile.profile(engine, PROMPT, TOKENS, DEPTH, rounds=1)


def test_a_product_with_a_block_format_is_int8_and_with_floats_is_not() -> None:
    bf16 = work.paths()["bfloat16", kernels.tier()]["prefill"]
    kinds = {"q4_0": "int8", "float16": "floats", "bfloat16": "bf16" if bf16 == "bf16 dot" else "floats"}
    for name, path in kinds.items():
        format = formats.get(name)
        weight = QuantizedTensor("w", (48, 96), format, np.zeros((48, format.row_bytes(96)), np.uint8))
        found = work.linear(weight, 5, kernels.tier())
        assert found == Work(**{path: 2 * 48 * 96 * 5, "bytes": kernels.bytes_read(format, 48, 96)})


def test_experts_are_read_as_often_as_tokens_choose_them() -> None:
    format = formats.get("q4_0")
    weight = QuantizedTensor("w", (8, 48, 96), format, np.zeros((8, 48, format.row_bytes(96)), np.uint8))
    one = kernels.bytes_read(format, 48, 96)
    for tokens, read in ((1, 2), (2, 3.5), (3, 8 * (1 - 0.75**3))):
        assert work.experts(weight, tokens, 2, kernels.tier()) == Work(2 * 2 * 48 * 96 * tokens, bytes=read * one)


@pytest.mark.parametrize("window", [None, 1, 4, 100])
@pytest.mark.parametrize("depth", [0, 3, 17])
@pytest.mark.parametrize("tokens", [1, 6])
def test_attention_equals_a_count_of_pairs(tokens: int, depth: int, window: int | None) -> None:
    pairs = [
        (own, p) for own in range(depth, depth + tokens) for p in range(own + 1) if window is None or own - p < window
    ]
    heads, kv_heads, head_dim = 6, 2, 16
    a = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim, "window": window, "latent": None}
    values = len({p for _, p in pairs}) * kv_heads * head_dim * 2  # keys and values
    # for each pair and head, a dot product of head_dim, and head_dim values times a weight
    for kv, size in {"f16": 2, "bf16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}.items():
        assert work.attention(a, tokens, depth, kv) == Work(0, len(pairs) * heads * head_dim * 4, values * size)
        latent = work.attention(a | {"latent": 8}, tokens, depth, kv)  # whose values are the beginnings of its keys
        assert latent.bytes == values * size / 2


def test_a_share_is_one_at_the_limit() -> None:
    limits = Limits(read_gb_s=10, int8_gop_s=100, bf16_gflop_s=40, float32_gflop_s=20)
    w = Work(int8=3e9, floats=1e9, bf16=4e9, bytes=5e8)
    assert w.reading_share(0.05, limits) == pytest.approx(1)
    assert w.arithmetic_share(0.03 + 0.05 + 0.1, limits) == pytest.approx(1)


def test_bytes_of_a_token_are_those_of_the_file_and_the_cache(engine) -> None:
    c = engine.config
    cache = sum(2 * 2 * c.kv_heads * c.head_dim * 8 for _ in c.layers)
    assert work.bytes_of_token(engine, 7) == engine.model.bytes_per_token + cache


def test_groups_add_up_to_the_step(engine, explained) -> None:
    e = explained
    assert (e.decode.tokens, e.decode.depth, e.prefill.tokens) == (1, DEPTH, PROMPT)
    wanted = {"decode": work.step(engine, 1, DEPTH + TOKENS // 2), "prefill": work.step(engine, PROMPT, 0)}
    for name, total in wanted.items():
        found = getattr(e, name)
        assert sum((group.work for group in found.groups), Work()) == total, name
        assert 0 < sum(group.seconds for group in found.groups) <= found.seconds
        named = {group.what: group.formats for group in found.groups}
        assert named["ffn gate up"] == named["output"] == ("q8_0",) and named["attention"] == ()
        assert "attn q k v" in named and "attn output" in named


def test_costs_list_the_models_formats_and_a_reference(engine, explained) -> None:
    """Sorted by bits. The 172 columns of ffn_down are not whole blocks of 32, so it stays float16."""
    assert [(c.format, c.stored_bits) for c in explained.formats] == [("q4_0", 4.5), ("q8_0", 8.5), ("float16", 16)]
    matrices = [engine.model.tensors[op.weights[0]] for op in engine.model.step.ops if op.kind == "linear"]
    down = sum(w.shape[0] * w.shape[1] for w in matrices if "ffn_down" in w.name)
    share = down / sum(w.shape[0] * w.shape[1] for w in matrices)
    assert [c.share for c in explained.formats] == [0, pytest.approx(1 - share), pytest.approx(share)]
    assert {c.format for c in explained.coverage} == {"q8_0", "float16"}


def test_which_limit_binds() -> None:
    limits = Limits(read_gb_s=10, int8_gop_s=100, bf16_gflop_s=40, float32_gflop_s=20)
    slow, fast = kernels.Decoding(1e10, 8e9, 0.5), kernels.Decoding(4e10, 8e9, 0.5)  # 5 and 20 GB/s from cache
    assert profile.FormatCost("q2_k", 1, 2.6, slow).bound(limits) == "unpacking"
    assert profile.FormatCost("q2_k", 1, 2.6, fast).bound(limits) == "memory"
