"""`bitwright hardware` and `bitwright explain` end to end."""

from __future__ import annotations

from bitwright import kernels
from bitwright.hardware import machine, rates
from bitwright.hardware.rates import Kernel, Measured

MEASURED = Measured("2026-11-24", "avx2", 2, 20e9, 12e9, 500e9, 180e9, {"q4_k": Kernel(10e9, 110e9)})


def test_this_machine_as_json(bitwright, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "measure", lambda *_: MEASURED)
    found = bitwright("hardware", "--json").json
    assert found["limits"] == {"read_gb_s": 20, "read_one_core_gb_s": 12, "int8_gop_s": 500, "bf16_gflop_s": 180,
                               "fp32_gflop_s": 180}  # fmt: skip
    assert found["formats"] == [{"format": "q4_k", "bits_per_weight": 4.5, "decode_gb_s": 10.0,
                                 "decode_share_of_read": 0.5, "prefill_gop_s": 110.0}]  # fmt: skip
    assert found["cores_usable"] >= 1 and found["memory_total"] >= found["memory_available"] > 0
    text = bitwright("hardware").out
    assert "reads 20.0 GB/s (one core 12.0), int8 500 Gop/s" in text and "q4_k" in text and "50%" in text


def test_it_is_really_measured_and_then_remembered(bitwright, monkeypatch, tmp_path) -> None:
    """All of the measurement, with small weights and little time: every format that the engine multiplies has rates."""
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    for name in ("DECODE_SECONDS", "PREFILL_SECONDS"):
        monkeypatch.setattr(rates, name, 0)
    for name, value in {"MOST_BYTES": 1 << 20, "PREFILL_ROWS": 64, "PREFILL_TOKENS": 32}.items():
        monkeypatch.setattr(rates, name, value)
    first = bitwright("hardware", "--json").json
    formats = {row["format"] for row in first["formats"]}
    covered = {c.format for c in kernels.coverage() if c.decode != "reference"}
    assert covered - formats == {"q8_k", "float8_e8m0fnu"}
    assert all(row["decode_gb_s"] > 0 and row["prefill_gop_s"] > 0 for row in first["formats"])
    assert first["limits"]["read_gb_s"] > 0.5
    assert bitwright("hardware", "--json").json["formats"] == first["formats"]


KEYS = {"device", "format", "stored", "loaded", "multiplied_as", "accumulated_in", "path", "instruction", "unit",
        "engine_uses", "decode_note", "prefill_note", "verified"}  # fmt: skip


def test_explain_one_device(bitwright) -> None:
    found = bitwright("explain", "fp8_e4m3", "--device", "h100-sxm-80gb", "--json").json
    assert KEYS <= set(found) and found["path"] == "native" and found["verified"]["peak"] == "read"
    text = bitwright("explain", "q4_k", "--device", "H100-SXM-80GB").out
    for line in ("stored as", "loaded as", "converted to", "multiplied as", "instruction", "accumulated in", "scaled"):
        assert line in text
    assert (
        "weights and activations converted to int8" in text
        and "(computed)" in text
        and "dp4a on the vector lanes" in text
    )
    assert (
        "[does not use the chip's native multiply]" in bitwright("explain", "fp8_e4m3", "--device", "h100-sxm-80gb").out
    )


def test_explain_many_devices(bitwright) -> None:
    found = bitwright("explain", "bf16", "--device", "apple-m1-max-32c", "--device", "apple-m3-10c", "--json").json
    assert [d["path"] for d in found["devices"]] == ["converted", "native"]
    text = bitwright("explain", "mxfp4").out
    assert all(id in text for id in ("tesla-p40-24gb", "snapdragon-x-elite")) and text.count("\n") == 64 + 3


def test_explain_this_machine_and_a_users_file(bitwright, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "measure", lambda *_: MEASURED)
    assert bitwright("explain", "q4_k", "--this-machine", "--json").json["device"] == "this-machine"
    (tmp_path / "mine.json").write_text("{}")
    broken = bitwright("explain", "q4_k", "--device", tmp_path / "mine.json")
    assert broken.code == 1 and "to have id" in broken.err and broken.err.count("\n") == 1
    unknown = bitwright("explain", "q4_k", "--device", "rtx-3090")
    assert unknown.code == 2 and "did you mean rtx-3090-24gb" in unknown.err
