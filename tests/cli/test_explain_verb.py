"""`bitwright explain`."""

from __future__ import annotations

from bitwright.hardware import devices, machine
from bitwright.hardware.rates import Kernel, Measured

MEASURED = Measured("2026-11-24", "avx2", 2, 20e9, 12e9, 500e9, 360e9, 180e9, {"q4_k": Kernel(10e9, 110e9)})
KEYS = {"device", "format", "stored", "loaded", "multiplied_as", "accumulated_in", "path", "instruction", "unit",
        "engine_uses", "decode_note", "prefill_note", "verified"}  # fmt: skip


def test_explain_one_device(bitwright) -> None:
    found = bitwright("explain", "fp8_e4m3", "--device", "h100-sxm-80gb", "--json").json
    assert set(found) >= KEYS and found["path"] == "native" and found["verified"]["peak"] == "read"
    text = bitwright("explain", "q4_k", "--device", "H100-SXM-80GB").out
    for line in ("stored as", "loaded as", "converted to", "multiplied as", "instruction", "accumulated in", "scaled"):
        assert line in text
    assert "int8 on both sides (llama.cpp CUDA)" in text and "(computed)" in text and "dp4a on the vector lanes" in text
    assert (
        "[does not use the chip's native multiply]" in bitwright("explain", "fp8_e4m3", "--device", "h100-sxm-80gb").out
    )


def test_what_the_chip_could_do_is_the_second_line(bitwright, monkeypatch) -> None:
    lines = bitwright("explain", "q4_0", "--device", "3090").out.splitlines()
    assert lines[0] == "q4_0 on NVIDIA GeForce RTX 3090: int8 on both sides (llama.cpp CUDA)"
    assert "could multiply int4 by int4" in lines[1] and "if activations were int4 too; no engine" in lines[1]
    assert bitwright("explain", "q4_0", "--device", "3090", "--json").json["chip_could"]["format"] == "int4"
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (["q4_0", "--device", "3090"], ["mxfp4"]):
        assert max(map(len, bitwright("explain", *arguments).out.splitlines())) <= 80


def test_explain_many_devices(bitwright) -> None:
    found = bitwright("explain", "bf16", "--device", "apple-m1-max-32c", "--device", "apple-m3-10c", "--json").json
    assert [d["path"] for d in found["devices"]] == ["converted", "native"]
    text = bitwright("explain", "mxfp4").out
    assert (
        all(id in text for id in ("tesla-p40-24gb", "snapdragon-x-elite"))
        and text.count("\n") == len(devices.built_in()) + 3
    )


def test_explain_this_machine_and_a_users_file(bitwright, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(machine, "measure", lambda *_: MEASURED)
    assert bitwright("explain", "q4_k", "--this-machine", "--json").json["device"] == "this-machine"
    (tmp_path / "mine.json").write_text("{}")
    broken = bitwright("explain", "q4_k", "--device", tmp_path / "mine.json")
    assert broken.code == 1 and "to have id" in broken.err and broken.err.count("\n") == 1
    unknown = bitwright("explain", "q4_k", "--device", "rtx-2070")
    assert unknown.code == 2 and "did you mean" in unknown.err
