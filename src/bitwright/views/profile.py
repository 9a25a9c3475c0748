"""Where the time of a step goes: what `bench --explain --json` prints under `explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.bench.profile import FormatCost, PhaseGroup, Profile, ProfiledStep
    from bitwright.bench.work import Limits


def profile(e: Profile) -> dict[str, Any]:
    """decode and prefill{tokens, depth, seconds, limits, operations[{operation, formats, seconds, share_of_time, bytes,
    int8_operations, float_operations, bf16_operations, gb_s, gop_s, share_of_read, share_of_arithmetic}]},
    formats[{format, share_of_weights, stored_bits, read_bits, ns_per_weight, unpack_ns_per_weight, read_ns_per_weight,
    cached_gb_s, memory_gb_s, bound_by}], coverage[{format, tier, decode, prefill}].

    Float operations include those of bfloat16. Seconds are of one step; bits are per weight; gb_s and gop_s are 10^9
    bytes and operations per second; shares are 0 to 1 of the time, of the weights, or of the machine's measured
    limits."""
    return plain(
        {
            "decode": _step(e.decode),
            "prefill": _step(e.prefill),
            "formats": [_format(c, e.decode.limits) for c in e.formats],
            "coverage": [c._asdict() for c in e.coverage],
        }
    )


def _step(p: ProfiledStep) -> dict[str, Any]:
    return {
        "tokens": p.tokens,
        "depth": p.depth,
        "seconds": p.seconds,
        "limits": p.limits._asdict(),
        "operations": [_operation(group, p) for group in p.groups],
    }


def _operation(group: PhaseGroup, p: ProfiledStep) -> dict[str, Any]:
    work, seconds = group.work, group.seconds
    return {
        "operation": group.what,
        "formats": group.formats,
        "seconds": seconds,
        "share_of_time": seconds / p.seconds,
        "bytes": round(work.bytes),
        "int8_operations": round(work.int8),
        "float_operations": round(work.floats + work.bf16),
        "bf16_operations": round(work.bf16),
        "gb_s": work.bytes / seconds / 1e9,
        "gop_s": work.operations / seconds / 1e9,
        "share_of_read": work.reading_share(seconds, p.limits),
        "share_of_arithmetic": work.arithmetic_share(seconds, p.limits),
    }


def _format(c: FormatCost, limits: Limits) -> dict[str, Any]:
    return {
        "format": c.format,
        "share_of_weights": c.share,
        "stored_bits": c.stored_bits,
        "read_bits": c.read_bits,
        "ns_per_weight": 1e9 / c.decoding.memory,
        "unpack_ns_per_weight": 1e9 / c.decoding.cached,
        "read_ns_per_weight": c.decoding.bytes_per_weight / limits.read_gb_s,
        "cached_gb_s": c.decoding.cached_gb_s,
        "memory_gb_s": c.decoding.memory_gb_s,
        "bound_by": c.bound(limits),
    }
