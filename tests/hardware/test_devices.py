"""The device data, what its loader accepts, and its messages for everything else."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.hardware import devices, schema

BUILT_IN = devices.built_in()
MINE = {
    "id": "mine",
    "name": "My card",
    "vendor": "acme",
    "kind": "gpu",
    "memory_gib": 24,
    "bandwidth_gb_s": 900,
    "compute": {
        "fp16": {"peak": 120, "basis": "datasheet", "unit": "tensor", "instruction": "mma f16"},
        "int8": {"peak": None, "basis": "general knowledge", "unit": "tensor", "instruction": "mma s8"},
        "int4": {"via": "int8", "unit": "tensor", "instruction": "unpack + mma s8"},
        "fp8_e4m3": {"via": "fp16", "unit": "tensor", "instruction": "shift + mma f16"},
    },
    "prices": [{"usd_low": 800, "usd_high": 900, "condition": "used", "date": "2026-11", "source": "a shop"}],
    "verified": {"bandwidth": "read at 850 to 900", "compute.fp8_e4m3.way": ""},
    "sources": ["https://acme.example"],
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BITWRIGHT_CONFIG", str(tmp_path))
    (tmp_path / "devices").mkdir()
    return tmp_path / "devices"


def test_there_are_87_devices_with_every_format() -> None:
    assert len(BUILT_IN) == 87
    for device in BUILT_IN.values():
        assert set(device.compute) == set(devices.FORMATS), device.id
        assert device.bandwidth and device.sources
        assert (device.memory_bytes is None) <= (device.kind == "cpu")


@pytest.mark.parametrize("device", BUILT_IN.values(), ids=list(BUILT_IN))
def test_the_data_is_sane(device: devices.Device) -> None:
    """Checks units and orders of magnitude: a mistyped exponent or a sparse peak would be out of range."""
    assert 10e9 < device.bandwidth < 10e12
    assert device.memory_bytes is None or 2**30 <= device.memory_bytes <= 2**40
    assert 2016 <= device.year <= 2026
    for format, rate in device.compute.items():
        assert rate.native == (rate.via is None) == (rate.basis is not None), format
        assert rate.peak is None or 1e10 < rate.peak < 2e16, format
        if rate.via in device.compute and rate.peak and device.compute[rate.via].peak:
            assert rate.peak <= 1.02 * device.compute[rate.via].peak, f"{format} faster than the {rate.via} it becomes"
    fields = {"memory", "bandwidth", "year", "prices", "isa", "unified_memory", "clock", "cores"}
    for path in device.verified - fields:
        match = re.fullmatch(r"(vector|compute)\.(\w+?)(\.way|\.narrow_peak|\.vector_peak)?", path)
        assert match and match[2] in getattr(device, match[1]), path
    assert bool(device.prices) or "prices" not in device.verified


def test_facts_stated_by_the_sources() -> None:
    h100, m1 = BUILT_IN["h100-sxm-80gb"], BUILT_IN["apple-m1-max-32c"]
    assert (h100.memory_bytes, h100.bandwidth, m1.bandwidth) == (80 * 2**30, 3350e9, 400e9)
    assert [h100.compute[f].peak for f in ("fp16", "fp8_e4m3", "int8")] == [989.4e12, 1978.9e12, 1978.9e12]
    assert {f for f in devices.FORMATS if m1.compute[f].native} == {"fp32", "fp16"}
    assert m1.compute["bf16"].via == "fp32" and m1.compute["fp16"].peak == m1.compute["fp32"].peak == 10.62e12
    assert BUILT_IN["rtx-4090-24gb"].compute["fp8_e4m3"].narrow_peak == 660.6e12
    (price,) = BUILT_IN["rtx-3090-24gb"].prices
    assert (price.usd_low, price.usd_high, price.condition) == (500, 900, "used") and price.date and price.source


def test_standing() -> None:
    h100, m1 = BUILT_IN["h100-sxm-80gb"], BUILT_IN["apple-m1-max-32c"]
    assert h100.standing("compute.fp16") == "read"
    assert h100.standing("compute.bf16") == "general knowledge"
    assert h100.standing("compute.fp6") == "computed"
    assert h100.standing("compute.int4.way") == "read" and h100.remarks["compute.int4.way"] == "removed"
    assert (m1.standing("compute.fp16"), m1.standing("compute.fp16.way")) == ("computed", "read")


def test_a_file_is_a_device(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINE))
    device = devices.get(str(path))
    assert (device.id, device.memory_bytes, device.bandwidth) == ("mine", 24 * 2**30, 900e9)
    assert device.compute["int4"].peak is None and device.compute["fp8_e4m3"].peak == 120e12
    assert device.standing("bandwidth") == "read" and device.standing("compute.fp16") == "general knowledge"


def test_user_devices_are_added_or_replace(own_folder: Path) -> None:
    (own_folder / "a.json").write_text(json.dumps(MINE))
    (own_folder / "b.json").write_text(json.dumps({**MINE, "id": "rtx-3090-24gb"}))
    assert len(devices.devices()) == 88 and devices.get("MINE").name == "My card"
    assert devices.get("rtx-3090-24gb").name == "My card"
    (own_folder / "c.json").write_text(json.dumps(MINE))
    with pytest.raises(FileFormatError, match=r"c\.json: expected an id that none of your other files has, got mine"):
        devices.devices()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BitwrightError, match="No such file"):
        devices.get(str(tmp_path / "none.json"))


def broken(path: str, value: object) -> dict[str, object]:
    """MINE with `value` at the dotted path, or without that key if it is `...`."""
    changed = copy.deepcopy(MINE)
    place = changed
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in parents:
        place = place[key]
    place[last] = value
    if value is ...:
        del place[last]
    return changed


HOSTILE = [
    ("id", "../etc", r'mine\.json: expected \.\./etc\.id to be text like .*, got "\.\./etc"'),
    ("id", 7, "expected the device.id to be string, got 7"),
    ("id", ..., "expected the device to have id"),
    ("name", "\x1b[2J", "expected mine.name to be text like"),
    ("sources.0", "\x9b1m", r"expected mine.sources\[0\] to be text like"),
    ("kind", "toaster", 'expected mine.kind to be one of gpu, soc, cpu, got "toaster"'),
    ("memory_gib", -1, "expected mine.memory_gib to be above 0, got -1"),
    ("memory_gib", True, "expected mine.memory_gib to be number or null, got true"),
    ("memory_gib", 10**40, "expected mine.memory_gib to be from 0 to 1000000"),
    ("bandwidth_gb_s", "900", 'expected mine.bandwidth_gb_s to be number or null, got "900"'),
    ("year", 20.5, "expected mine.year to be integer or null"),
    ("colour", "red", "expected mine to have no other keys than id, .*, got .colour."),
    ("compute", [], r"expected mine.compute to be object, got \[\]"),
    ("compute.fp7", {}, "expected the name of mine.compute..fp7. to be one of fp64, "),
    ("compute.fp16", 3, "expected mine.compute.fp16 to be object, got 3"),
    ("compute.fp16.unit", "abacus", "expected mine.compute.fp16.unit to be one of vector, tensor, matrix"),
    ("compute.fp16.instruction", ..., "expected mine.compute.fp16 to have instruction"),
    ("compute.fp16.peak", 0, "expected mine.compute.fp16.peak to be above 0, got 0"),
    ("compute.fp16.peak", ..., "expected mine.compute.fp16 to have a peak and its basis"),
    ("compute.fp16.via", "fp32", "expected mine.compute.fp16 to have a peak and its basis, or via"),
    ("compute.int4.via", "int4", "expected mine.compute.int4.via to end at a native format, got int4 -> int4"),
    ("compute.int4.via", "fp64", "expected mine.compute.int4.via to name one of its formats, got fp64"),
    ("compute.int4.via", "magic", "expected mine.compute.int4.via to be one of"),
    ("compute.int4.alternatives", "int8", "expected mine.compute.int4.alternatives to be array"),
    ("prices.0.condition", "stolen", "expected mine.prices.0..condition to be one of new, used"),
    ("prices.0.usd_low", 901, "expected mine.prices with usd_low no higher than usd_high, got 901 and 900"),
    ("prices.0.date", ..., "expected mine.prices.0. to have date"),
    ("verified", ["bandwidth"], "expected mine.verified to be object"),
    ("verified.Ä", "", "expected the name of mine.verified"),
]


@pytest.mark.parametrize(("path", "value", "message"), HOSTILE, ids=[f"{p}={str(v)[:12]!r}" for p, v, _ in HOSTILE])
def test_hostile_fields(tmp_path: Path, path: str, value: object, message: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(broken(path, value)))
    with pytest.raises(FileFormatError, match=message) as caught:
        devices.load(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value) and str(caught.value).isprintable()


def test_a_cycle_of_conversions_is_found(tmp_path: Path) -> None:
    changed = broken("compute.int8", {"via": "int4", "unit": "vector", "instruction": "x"})
    with pytest.raises(FileFormatError, match="via to end at a native format, got int8 -> int4 -> int8"):
        devices.parse(changed, "mine.json")


TEXTS = {
    b"": "expected JSON",
    b"[]": "expected the device to be object, got",
    b"null": "expected the device to be object, got null",
    b'{"id": "a", "id": "b"}': "each key once in an object, got 'id' twice",
    b'{"id": NaN}': "finite numbers, got NaN",
    b'{"memory_gib": 1e999}': "the device to have id",
    b"\xff\xfe{}": "byte 0: expected UTF-8 text, got byte 0xff",
    b"[" * 100_000: "expected JSON, got objects nested too deeply",
    b"1" * 10_000: "too many digits",
    b" " * (schema.MAX_BYTES + 1): "at most 8388608 bytes of JSON, got more",
}


@pytest.mark.parametrize(("text", "message"), TEXTS.items(), ids=[repr(t[:12]) for t in TEXTS])
def test_hostile_text(tmp_path: Path, text: bytes, message: str) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(text)
    with pytest.raises(FileFormatError, match=message):
        devices.load(file)


def test_infinity_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(MINE).replace('"bandwidth_gb_s": 900', '"bandwidth_gb_s": 1e999'))
    with pytest.raises(FileFormatError, match="bandwidth_gb_s to be from 0 to 1000000, got Infinity"):
        devices.load(file)


def test_the_checker_supports_the_whole_schema() -> None:
    """Every keyword in the schema is supported; `check` raises ValueError for others."""

    def walk(node: dict[str, object]) -> None:
        schema.check({}, {**node, "type": "object", "required": [], "enum": [{}]}, "file", "place")
        for child in (*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")):
            if isinstance(child, dict):
                walk(child)

    walk(dict(schema.schema("device")))
    with pytest.raises(ValueError, match="oneOf"):
        schema.check({}, {"oneOf": []}, "file", "place")


def test_the_documented_example_is_a_device() -> None:
    document = (Path(__file__).parents[2] / "docs/devices.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", document, re.DOTALL)
    assert devices.parse(json.loads(example), "docs").standing("compute.fp16") == "read"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["fp16", "new"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
PLACES = [*MINE, "compute.fp16", "compute.int4.via", "compute.int8.peak", "prices.0", "prices.0.usd_low", "verified.x"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), VALUES)
def test_any_value_gives_a_device_or_one_line(path: str, value: object) -> None:
    """Whatever value is at any place, the loader accepts it or reports what it expected; no other error escapes."""
    try:
        device = devices.parse(broken(path, value), "mine.json")
    except FileFormatError as error:
        assert str(error).startswith("mine.json: expected ") and str(error).isprintable()
    else:
        assert all(r.peak is None or 0 < r.peak <= 1e18 for r in device.compute.values())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_json_or_one_line(data: bytes) -> None:
    try:
        schema.parse(data, "mine.json")
    except FileFormatError as error:
        assert str(error).startswith("mine.json")
