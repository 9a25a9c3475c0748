"""How hardware runs a format: facts about H100 and M1 Max as their sources state them, and every device with every
format."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitwright import formats, kernels
from bitwright.errors import UnknownNameError
from bitwright.hardware import detect, devices, document, schema
from bitwright.hardware.execution import ExecutionPath, execution_path, operations
from bitwright.hardware.machine import Machine
from bitwright.hardware.number_format import number_format
from bitwright.hardware.rates import Kernel, Measured

BUILT_IN = devices.built_in()
FILE_FORMATS = [f.name for f in formats.all()] + ["int4_sym_g32", "int8_sym_row", "int3_asym_g64"]
ALL = [*devices.FORMATS, *(name for name in FILE_FORMATS if name not in devices.FORMATS)]
H100, M1_MAX = BUILT_IN["h100-sxm-80gb"], BUILT_IN["apple-m1-max-32c"]


def uses(e: ExecutionPath, engine: str, phase: str) -> tuple[str | None, str | None, bool | None]:
    (found,) = [u for u in e.uses if u.engine == engine and u.phase in (phase, "any")]
    return found.multiplied_as, found.unit, found.uses_chip


def test_common_names_are_accepted() -> None:
    assert number_format("Q4_K_M") == number_format("q4_k") and number_format("iq3_m") == number_format("iq3_s")
    assert number_format("fp8") == number_format("fp8_e4m3")


@pytest.mark.parametrize("format", ["fp16", "bf16", "fp8_e4m3", "fp8_e5m2", "int8"])
def test_h100_multiplies_natively(format: str) -> None:
    e = execution_path(format, H100)
    assert (e.path, e.multiplied_as, e.unit) == ("native", format, "tensor") and e.instruction.startswith("wgmma")
    assert e.converted_to == "nothing: it is multiplied as it is"


def test_h100_emulates_fp4_and_lost_int4() -> None:
    for format in ("mxfp4", "nvfp4", "int4", "q4_k", "int1"):
        assert execution_path(format, H100).path in ("int8", "converted"), format
    int4 = execution_path("int4", H100)
    assert int4.path == "int8" and "removed" in " ".join(int4.remarks) and int4.way_standing == "read"
    a100 = execution_path("int4", BUILT_IN["a100-80gb"])
    assert a100.path == "int8" and a100.unused is not None and a100.unused.peak == 2 * a100.peak


def test_h100_has_fp8_and_llama_cpp_never_uses_it() -> None:
    e = execution_path("fp8_e4m3", H100)
    assert uses(e, "llama.cpp CUDA", "decode") == (None, None, False)
    assert uses(e, "vLLM", "prefill") == ("fp8_e4m3", "tensor", True)
    assert e.peak == 1978.9e12 == pytest.approx(2 * execution_path("fp16", H100).peak, rel=1e-3)


def test_llama_cpp_decodes_by_dp4a_and_prefills_by_int8_tensor_cores() -> None:
    e = execution_path("q4_k", H100)
    assert uses(e, "llama.cpp CUDA", "decode") == ("int8", "vector", None)
    assert uses(e, "llama.cpp CUDA", "prefill") == ("int8", "tensor", None)
    assert e.scaled == "once per block, in fp32, after the integer sum" and e.accumulated_in == "int32"


def test_m1_max_has_fp16_at_the_rate_of_fp32_and_nothing_smaller() -> None:
    fp16, fp32 = execution_path("fp16", M1_MAX), M1_MAX.compute["fp32"]
    assert fp16.path == "native" and fp32.native and fp16.peak == fp32.peak == 10.62e12
    assert fp16.unit == "vector" and "9.9 of 10.6 TFLOPS reached" in " ".join(fp16.remarks)
    bf16 = execution_path("bf16", M1_MAX)
    assert (bf16.path, bf16.multiplied_as) == ("converted", "fp32") and "8% slower prefill" in " ".join(bf16.remarks)
    for format in ("fp8_e4m3", "fp8_e5m2", "mxfp8", "fp6", "mxfp4", "nvfp4", "int8", "int4", "q4_k", "q6_k", "iq2_xs"):
        e = execution_path(format, M1_MAX)
        assert (e.path, e.multiplied_as, e.peak) == ("converted", "fp16", 10.62e12), format
    q4_k = execution_path("q4_k", M1_MAX)
    assert uses(q4_k, "llama.cpp Metal", "decode") == ("fp32", "vector", None)
    assert uses(q4_k, "llama.cpp Metal", "prefill") == ("fp16", "vector", None)


def test_bf16_is_native_on_apple_from_m3() -> None:
    paths = {id: execution_path("bf16", d).path for id, d in BUILT_IN.items() if d.vendor == "apple"}
    assert {id for id, path in paths.items() if path == "converted"} == {
        id for id in paths if id.startswith(("apple-m1", "apple-m2"))
    }


def test_fp4_is_native_on_blackwell_but_not_always_used() -> None:
    """llama.cpp requires compute capability 12: it uses FP4 on a 5090 but not on the B200 (10.0), which also has it."""
    b200, rtx = execution_path("mxfp4", BUILT_IN["b200-180gb"]), execution_path("mxfp4", BUILT_IN["rtx-5090-32gb"])
    assert (b200.path, rtx.path) == ("int8", "native")
    assert b200.unused is not None and (b200.unused.format, b200.unused.peak) == ("mxfp4", 9000e12)
    assert rtx.scaled == "inside the matrix instruction, per block" and rtx.unused is None
    assert execution_path("nvfp4", BUILT_IN["b200-180gb"]).path == "native"  # by vLLM
    assert uses(b200, "llama.cpp CUDA", "prefill") == ("int8", "tensor", False)
    assert uses(rtx, "llama.cpp CUDA", "prefill") == ("mxfp4", "tensor", True)
    assert uses(rtx, "llama.cpp CUDA", "decode") == ("int8", "vector", False)


def test_sums_in_fp16_double_the_rate_of_geforce() -> None:
    assert "660.6 TFLOP/s with sums in fp16" in execution_path("fp8_e4m3", BUILT_IN["rtx-4090-24gb"]).remarks


def test_amx_is_used_only_for_some_formats() -> None:
    xeon = BUILT_IN["xeon-8480plus"]
    assert uses(execution_path("q4_k", xeon), "llama.cpp CPU", "prefill")[1] == "matrix"
    assert uses(execution_path("q3_k", xeon), "llama.cpp CPU", "prefill")[1] == "vector"
    assert uses(execution_path("q4_k", xeon), "llama.cpp CPU", "decode")[1] == "vector"


@pytest.mark.parametrize("device", BUILT_IN.values(), ids=list(BUILT_IN))
def test_every_device_explains_every_format(device: devices.Device) -> None:
    for name in ALL:
        e = execution_path(name, device)
        assert e.path in ("native", "converted", "int8") and e.multiplied_as and e.unit and e.instruction, name
        assert (e.path == "native") == (e.multiplied_as == e.stored.element), name
        assert e.way_standing in ("read", "computed", "general knowledge") and e.accumulated_in, name
        assert e.peak is None or e.peak > 0, name
        assert ("not known" in e.prefill_note) == (e.peak is None) == (e.break_even is None), name
        assert e.uses and all(u.what and u.standing in ("read", "general knowledge") for u in e.uses), name
        assert any(u.engine.startswith("llama.cpp") for u in e.uses), name
        for use in e.uses:
            assert use.standing == "general knowledge" or use.where, name
            assert use.uses_chip is None or device.compute[e.stored.element or ""].native, name


@pytest.mark.parametrize(
    ("format", "device", "headline"),
    [
        ("q4_0", "tesla-t4-16gb", "int8 on both sides (llama.cpp CUDA)"),
        ("q4_0", "rtx-3090-24gb", "int8 on both sides (llama.cpp CUDA)"),
        ("q4_0", "rtx-4090-24gb", "int8 on both sides (llama.cpp CUDA)"),
        ("q4_0", "rx-7900xtx-24gb", "int8 on both sides (llama.cpp HIP)"),
        ("q4_0", "arc-b580-12gb", "decode: int8 on both sides, prefill: converted to fp16 (llama.cpp Vulkan)"),
        ("q8_0", "rtx-3090-24gb", "int8 on both sides (llama.cpp CUDA)"),
        ("fp16", "rtx-3090-24gb", "decode: converted to fp32, prefill: native fp16 (llama.cpp CUDA)"),
        ("nvfp4", "b200-180gb", "int8 on both sides (llama.cpp CUDA); native nvfp4 (vLLM)"),
        ("bf16", "apple-m1-8c", "decode: converted to fp32, prefill: bf16, which the chip emulates (llama.cpp Metal)"),
        ("q4_k", "ryzen-9-7950x", "int8 on both sides (llama.cpp CPU, bitwright)"),
        ("bf16", "ryzen-9-7950x", "native bf16 (llama.cpp CPU, bitwright)"),
        ("tf32", "rtx-3090-24gb", "no engine here runs it; the chip: native tf32"),
    ],
)
def test_the_headline_is_what_engines_do(format: str, device: str, headline: str) -> None:
    assert execution_path(format, BUILT_IN[device]).headline == headline


def test_int4_that_no_engine_uses_is_an_ability_of_the_chip() -> None:
    """It needs 4-bit activations. Peak, speed-up and break-even are those of what is multiplied."""
    able = {"turing", "ampere", "ada", "rdna2", "rdna3", "rdna3.5", "rdna4", "cdna2", "xe-hpg", "xe2-hpg", "xe2-lpg"}
    for id, device in BUILT_IN.items():
        e = execution_path("q4_0", device)
        assert e.path != "native" and "int4" not in e.headline, id
        assert (e.unused is not None and e.unused.format == "int4") == (device.arch in able), id
    e = execution_path("q4_0", BUILT_IN["rtx-3090-24gb"])
    assert e.peak == BUILT_IN["rtx-3090-24gb"].compute["int8"].peak and "2 times as fast as fp16" in e.prefill_note


@pytest.mark.parametrize("device", [d for d in BUILT_IN.values() if d.arch in ("hopper", "sm100")], ids=lambda d: d.id)
def test_int8_peaks_follow_one_rule(device: devices.Device) -> None:
    """The chip's full int8 rate, and a remark that llama.cpp's instruction does not reach it."""
    for format in ("q4_0", "q4_k", "mxfp4"):
        e = execution_path(format, device)
        assert e.peak == device.compute["int8"].peak and any("older mma.sync" in text for text in e.remarks), format


def test_break_even_is_where_memory_and_arithmetic_take_equally_long() -> None:
    for name in ("fp16", "q4_k", "fp8_e4m3"):
        e = execution_path(name, H100)
        weights, tokens = 1e9, e.break_even
        reading = weights * e.stored.bits / 8 / H100.bandwidth
        assert reading == pytest.approx(2 * weights * tokens / e.peak)
    assert execution_path("fp16", H100).break_even == pytest.approx(295.3, abs=0.1)


def test_without_bandwidth_or_peak_nothing_is_invented() -> None:
    from dataclasses import replace

    e = execution_path("q4_k", replace(H100, bandwidth=None))
    assert e.break_even is None and e.decode_note == "the memory's bandwidth is not known"
    bare = replace(H100, compute={}, isa=None, vendor="acme")
    e = execution_path("q4_k", bare)
    assert (e.path, e.multiplied_as, e.peak, e.break_even, e.uses) == ("unknown", None, None, None, ())
    assert e.converted_to == "not known" and "not known" in e.prefill_note


def test_an_unknown_format() -> None:
    with pytest.raises(UnknownNameError, match="unknown format 'fp5'"):
        execution_path("fp5", H100)


@pytest.mark.parametrize(
    ("name", "bits", "element"),
    [("Q4_K", 4.5, "int4"), ("f16", 16, "fp16"), ("fp8_e4m3", 8, "fp8_e4m3"), ("mxfp4", 4.25, "mxfp4"),
     ("nvfp4", 4.5, "nvfp4"), ("int4", 4, "int4"), ("q5_0", 5.5, None), ("tf32", 32, "tf32"),
     ("int4_sym_g32", 4.5, "int4"), ("q6_k", 6.5625, None), ("fp6", 6, "fp6"), ("bfloat16", 16, "bf16")],
)  # fmt: skip
def test_formats_as_hardware_sees_them(name: str, bits: float, element: str | None) -> None:
    assert (number_format(name).bits, number_format(name).element) == (bits, element)


def test_every_rule_names_a_known_engine_and_formats_and_is_used() -> None:
    """A misspelt format or pattern would disable a rule, so each must decide at least one pair."""
    data = schema.data("engines.json")
    engines = {entry["engine"] for entry in data["engines"]}
    said = {(u.engine, u.what) for d in BUILT_IN.values() for name in ALL for u in execution_path(name, d).uses}
    for rule in data["rules"]:
        assert rule["engine"] in engines and rule["phase"] in ("decode", "prefill", "any")
        assert (rule["engine"], rule["what"]) in said, rule


def machine(tier: str) -> Machine:
    rates = {"q4_k": Kernel(10e9, 110e9), "float16": Kernel(17e9, 68e9)}
    measured = Measured("2026-11-24", tier, 2, 20e9, 12e9, 500e9, 360e9, 180e9, rates)
    return Machine(detect.system(), (), tuple(kernels.tiers()), measured)


def test_this_machine_is_explained_by_its_kernels_and_measurements() -> None:
    m = machine(kernels.tier())
    e = execution_path("q4_k", m.device(), m)
    assert (e.path, e.multiplied_as, e.way_standing, e.peak_standing) == ("int8", "int8", "read", "measured")
    assert e.break_even == pytest.approx((4.5 / 8 / 10e9) / (2 / 110e9))
    assert "measured 17.78 G weights/s (50%): unpacking is the limit" in e.decode_note
    assert "measured 110 GOP/s with 512 tokens" in e.prefill_note
    assert "memory is the limit" in execution_path("f16", m.device(), m).decode_note
    (use,) = e.uses
    path = next(c for c in kernels.coverage([formats.get("q4_k")]) if c.tier == kernels.tier())
    assert use.engine == "bitwright" and (use.multiplied_as == "int8") == (path.decode == "integer dot")
    assert execution_path("fp64", m.device(), m).path == "unknown"


@pytest.mark.parametrize("name", FILE_FORMATS)
def test_bitwright_is_explained_by_its_coverage_table(name: str) -> None:
    (row,) = [c for c in kernels.coverage([formats.get(name)]) if c.tier == kernels.tier()]
    as_what = {u.multiplied_as for u in execution_path(name, machine(kernels.tier()).device()).uses}
    assert as_what == {{"integer dot": "int8", "bf16 dot": "bf16"}.get(p, "fp32") for p in (row.decode, row.prefill)}


def test_rates_have_the_unit_of_the_operands() -> None:
    assert operations(989.4e12, "fp16") == "989.4 TFLOP/s" and operations(614e9, "int8") == "614 GOP/s"


def test_the_document_is_not_stale() -> None:
    text = (Path(__file__).parents[2] / "docs/devices.md").read_text(encoding="utf-8")
    assert document.written(text) == text, "run `make docs`"


@pytest.mark.parametrize(
    ("format", "device", "engine"),
    [("tq2_0", "rtx-3090-24gb", "llama.cpp CUDA"), ("tq1_0", "rx-7900xtx-24gb", "llama.cpp HIP"),
     ("nvfp4", "apple-m4-max-40c", "llama.cpp Metal"), ("q8_k", "ryzen-9-7950x", "llama.cpp CPU")],
)  # fmt: skip
def test_a_backend_may_have_no_kernel(format: str, device: str, engine: str) -> None:
    (use,) = [u for u in execution_path(format, BUILT_IN[device]).uses if u.engine == engine]
    assert use.multiplied_as is None and "no kernel" in use.what


def test_vulkan_has_integer_products_only_for_some_formats() -> None:
    arc = BUILT_IN["arc-a770-16gb"]
    assert uses(execution_path("q4_k", arc), "llama.cpp Vulkan", "prefill") == ("int8", "vector", False)
    assert uses(execution_path("iq2_xs", arc), "llama.cpp Vulkan", "prefill") == ("fp16", "vector", None)
    battlemage = execution_path("iq2_xs", BUILT_IN["arc-b580-12gb"])
    assert uses(battlemage, "llama.cpp Vulkan", "prefill") == ("fp16", "matrix", None)
