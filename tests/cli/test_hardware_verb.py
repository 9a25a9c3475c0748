"""`bitwright hardware` end to end."""

from __future__ import annotations

from bitwright import kernels
from bitwright.hardware import machine, rates
from bitwright.hardware.rates import Kernel, Measured

MEASURED = Measured("2026-11-24", "avx2", 2, 20e9, 12e9, 500e9, 360e9, 180e9, {"q4_k": Kernel(10e9, 110e9)})


def test_this_machine_as_json(bitwright, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "measure", lambda *_: MEASURED)
    found = bitwright("hardware", "--json").json
    assert found["limits"] == {"read_gb_s": 20, "read_one_core_gb_s": 12, "int8_gop_s": 500, "bf16_gflop_s": 360,
                               "float32_gflop_s": 180, "fp32_gflop_s": 180}  # fmt: skip
    assert found["formats"] == [{"format": "q4_k", "bits_per_weight": 4.5, "decode_gb_s": 10.0,
                                 "decode_share_of_read": 0.5, "prefill_gop_s": 110.0}]  # fmt: skip
    assert found["cores_usable"] >= 1 and found["memory_total"] >= found["memory_available"] > 0
    text = bitwright("hardware").out
    assert "reads 20.0 GB/s (one core 12.0), int8 500 Gop/s" in text and "q4_k" in text and "50%" in text


def test_the_machine_is_measured_and_remembered(bitwright, monkeypatch, tmp_path) -> None:
    """The whole measurement, with small weights and little time: every format that the engine multiplies has rates."""
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    for name in ("DECODE_SECONDS", "PREFILL_SECONDS"):
        monkeypatch.setattr(rates, name, 0)
    small = {"MOST_BYTES": 1 << 20, "FLOAT_BYTES": 1 << 20, "COLUMNS": 512, "PASSES": 2, "PREFILL_ROWS": 64,
             "PREFILL_TOKENS": 32, "PREFILL_COLUMNS": 512}  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(rates, name, value)
    first = bitwright("hardware", "--json").json
    formats = {row["format"] for row in first["formats"]}
    covered = {c.format for c in kernels.coverage() if c.decode != "reference"}
    assert covered - formats == {"q8_k", "float8_e8m0fnu"}
    assert all(row["decode_gb_s"] > 0 and row["prefill_gop_s"] > 0 for row in first["formats"])
    assert first["limits"]["read_gb_s"] > 0.5
    assert bitwright("hardware", "--json").json["formats"] == first["formats"]
