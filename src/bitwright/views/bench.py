"""The speed of a model on this machine: what `bench --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.bench.speed import Speed


def bench(s: Speed) -> dict[str, Any]:
    """tier, threads, limits{read_gb_s, read_one_core_gb_s, int8_gop_s, bf16_gflop_s, float32_gflop_s} (10^9 bytes or
    operations per second), prefill{tokens, tokens_per_second, fastest, share_of_limit}, decode{depth, tokens,
    tokens_per_second, fastest, share_of_limit}; `fastest` is the fastest round's tokens per second, shares are
    0 to 1."""
    return plain(
        {
            "tier": s.tier,
            "threads": s.threads,
            "limits": {
                "read_gb_s": s.limits.read_gb_s,
                "read_one_core_gb_s": s.read_one_core_gb_s,
                "int8_gop_s": s.limits.int8_gop_s,
                "bf16_gflop_s": s.limits.bf16_gflop_s,
                "float32_gflop_s": s.limits.float32_gflop_s,
            },
            "prefill": {
                "tokens": s.prompt,
                "tokens_per_second": s.prefill,
                "fastest": s.fastest_prefill,
                "share_of_limit": s.prefill_share,
            },
            "decode": {
                "depth": s.depth,
                "tokens": s.tokens,
                "tokens_per_second": s.decode,
                "fastest": s.fastest_decode,
                "share_of_limit": s.decode_share,
            },
        }
    )
