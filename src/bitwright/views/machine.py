"""This machine and what it was measured to do: what `hardware --json` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bitwright import formats
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.hardware.machine import Machine


def machine(m: Machine) -> dict[str, Any]:
    """The fields of `hardware.detect.System` (sizes in bytes), memory_bytes, gpus[the fields of `hardware.gpus.Gpu`],
    tiers, measured (a date), tier, threads, limits{read_gb_s, read_one_core_gb_s, int8_gop_s, bf16_gflop_s,
    float32_gflop_s, and fp32_gflop_s, an older name of it} (10^9 bytes or operations per second), formats[{format,
    bits_per_weight, decode_gb_s, decode_share_of_read, prefill_gop_s}], fewest bits first."""
    measured = m.measured
    return plain(
        {
            **asdict(m.system),
            "memory_bytes": m.system.memory_bytes,
            "gpus": [asdict(gpu) for gpu in m.gpus],
            "tiers": m.tiers,
            "measured": measured.date,
            "tier": measured.tier,
            "threads": measured.threads,
            "limits": {
                "read_gb_s": measured.read / 1e9,
                "read_one_core_gb_s": measured.read_one_core / 1e9,
                "int8_gop_s": measured.int8 / 1e9,
                "bf16_gflop_s": measured.bf16 / 1e9,
                "float32_gflop_s": measured.float32 / 1e9,
                "fp32_gflop_s": measured.float32 / 1e9,
            },
            "formats": sorted(_formats(m), key=lambda row: row["bits_per_weight"]),
        }
    )


def _formats(m: Machine) -> list[dict[str, Any]]:
    return [
        {
            "format": name,
            "bits_per_weight": formats.get(name).bits_per_weight,
            "decode_gb_s": rate.decode / 1e9,
            "decode_share_of_read": rate.decode / m.measured.read,
            "prefill_gop_s": rate.prefill / 1e9,
        }
        for name, rate in m.measured.kernels.items()
    ]
