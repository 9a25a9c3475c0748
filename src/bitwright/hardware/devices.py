"""Devices and the formats they compute in: those that come with bitwright, and the user's own.

Every figure is shown with its standing: "read" in a public source, "computed" from what was read, or "general
knowledge". `data/devices.json` records which fields were read, and where.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bitwright import names
from bitwright.errors import BitwrightError, FileFormatError, UnknownNameError, UsageError
from bitwright.hardware import schema
from bitwright.hardware.siblings import with_siblings

FORMATS = (
    *("fp64", "fp32", "tf32", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2", "mxfp8", "fp6", "mxfp4", "nvfp4"),
    *("int8", "int4", "int1"),
)
GIB = 1 << 30  # memory chips come in powers of two: what a label calls 24 GB are 24 GiB
TERA = 1e12
COMPUTED = {"calc", "doc ratio", "whitepaper ratio", "microbenchmark rate"}

Standing = Literal["read", "computed", "general knowledge", "measured"]


@dataclass(frozen=True)
class Rate:
    """How a device multiplies one format. peak: dense operations per second (a multiplication and an addition are two)
    of the format that is really multiplied, this one if `native`, else `via`; None if nobody published it.

    narrow_peak: with sums in fp16. vector_peak: on the vector lanes, if `unit` is another. alternatives: formats that
    other software converts to.
    """

    native: bool
    unit: str
    instruction: str
    peak: float | None
    via: str | None = None
    alternatives: tuple[str, ...] = ()
    basis: str | None = None
    note: str | None = None
    accumulate: str | None = None
    narrow_peak: float | None = None
    vector_peak: float | None = None


@dataclass(frozen=True)
class Price:
    """A street price in US dollars. memory_gib: of the machine that it buys; None if the source does not say, as with
    starting prices."""

    usd_low: float
    usd_high: float
    condition: Literal["new", "used"]
    date: str
    source: str
    memory_gib: float | None


@dataclass(frozen=True)
class Device:
    """A chip with its memory. None means not known; for memory_bytes, also that memory is not part of the chip, as with
    most CPUs.

    bandwidth: bytes per second. vector, compute: operations per second. verified: the fields that were read in a source
    ("bandwidth", "compute.fp16"; "compute.fp16.way" is how, not how fast). remarks: what those sources said.
    driver_names: other names that drivers use.
    """

    id: str
    name: str
    vendor: str
    arch: str | None
    isa: str | None
    kind: Literal["gpu", "soc", "cpu"]
    year: int | None
    memory_bytes: int | None
    unified_memory: bool
    bandwidth: float | None
    vector: Mapping[str, float | None]
    compute: Mapping[str, Rate]
    power_watts: float | None = None
    prices: tuple[Price, ...] = ()
    verified: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()
    notes: str | None = None
    driver_names: tuple[str, ...] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def bought_for(self) -> tuple[Price, ...]:
        """The prices that buy it with its memory."""
        return tuple(p for p in self.prices if p.memory_gib and round(p.memory_gib * GIB) == self.memory_bytes)

    @property
    def called(self) -> list[str]:
        """Other names than the id: the product's, with and without its size, and a computer's own."""
        plain, _, inside = self.name.partition("(")
        sized = [] if self.memory_bytes is None else [f"{plain} {self.memory_bytes >> 30}gb"]
        inside = "" if self.kind == "cpu" else inside.rstrip(")")
        return [self.name, plain, *sized, *inside.split(","), *self.driver_names]

    def standing(self, path: str) -> Standing:
        """Where the number at `path` ("bandwidth", "compute.fp16", "compute.fp16.way") comes from."""
        if self.id == THIS_MACHINE and path in self.verified:
            return "measured"
        if path in self.verified or path.removesuffix(".way") in self.verified:
            return "read"
        kind, _, name = path.partition(".")
        if kind == "compute" and (rate := self.compute.get(name)) is not None:
            return "computed" if not rate.native or rate.basis in COMPUTED else "general knowledge"
        return "general knowledge"


THIS_MACHINE = "this-machine"


def devices() -> dict[str, Device]:
    """All devices by id: those that come with bitwright, by generation, then the user's own, which replace them.

    Raises FileFormatError if a file in the user's folder does not describe a device, or repeats an id.
    """
    own: dict[str, Device] = {}
    for path in sorted(user_folder().glob("*.json")):
        device = load(path)
        if device.id in own:
            raise FileFormatError(path, None, "an id that none of your other files has", device.id)
        own[device.id] = device
    return {**built_in(), **own}


def get(name: str | os.PathLike[str]) -> Device:
    """The one device that `name` names, as `find` reads it. Raises UsageError if it names several."""
    first, *others = find(name)
    if others:
        raise UsageError(f"{os.fspath(name)} names several devices: {', '.join(d.id for d in (first, *others))}")
    return first


def find(name: str | os.PathLike[str]) -> list[Device]:
    """The device with this id, those that people call so ("3090", "M1 Max": one product, perhaps in several sizes; "M4
    Max 64GB": with this memory), or the one in a file whose name ends in .json. Raises UnknownNameError with close ids,
    FileFormatError if the file does not describe a device, BitwrightError if it cannot be read."""
    text = os.fspath(name)
    if text.lower().endswith(".json"):
        return [load(Path(text))]
    known = devices()
    called = {id: device.called for id, device in known.items()}
    if ids := [text.lower()] if text.lower() in known else names.products(text, called):
        return [known[id] for id in ids]
    plain, size = names.without_memory(text)
    sold = [known[id] for id in (names.products(plain, called) if size else ())]
    if sold and all(device.unified_memory for device in sold):
        return [replace(device, memory_bytes=size) for device in sold]
    raise UnknownNameError("device", text, known, names.nearest(text, called))


def named(names: Iterable[str]) -> list[Device]:
    """Every device that any of the names finds, once."""
    found = (device for name in names for device in find(name))
    return list({(device.id, device.memory_bytes): device for device in found}.values())


def load(path: Path) -> Device:
    """The one device that a JSON file describes, as `data/device.schema.json` says."""
    try:
        value = schema.read(path)
    except OSError as error:
        raise BitwrightError(f"{path}: {error.strerror or error}; a device file is JSON") from error
    return parse(value, str(path))


def user_folder() -> Path:
    """The folder of the user's devices: `devices` in BITWRIGHT_CONFIG or in the user's configuration folder."""
    from platformdirs import user_config_path

    base = os.environ.get("BITWRIGHT_CONFIG")
    return (Path(base) if base else user_config_path("bitwright")) / "devices"


@cache
def built_in() -> Mapping[str, Device]:
    """The devices that come with bitwright, by id. Raises FileFormatError if the data file is damaged."""
    file = schema.data("devices.json")
    found = [parse(value, "devices.json", file["sources"]) for value in with_siblings(file["devices"])]
    by_id = {device.id: device for device in found}
    if len(by_id) < len(found):
        raise FileFormatError("devices.json", None, "each id once", f"{len(found)} devices of {len(by_id)} ids")
    return by_id


def parse(value: Any, file: str, sources: Mapping[str, str] | None = None) -> Device:
    """The Device that parsed JSON describes. sources: texts that it may refer to by key. Raises FileFormatError."""
    name = value.get("id") if isinstance(value, dict) else None
    place = name if isinstance(name, str) and name.isprintable() and name else "the device"
    schema.check(value, schema.schema("device"), file, place)
    memory, bandwidth = value["memory_gib"], value["bandwidth_gb_s"]
    return Device(
        **{key: value[key] for key in ("id", "name", "vendor", "kind")},
        **{key: value.get(key) for key in ("arch", "isa", "year", "power_watts", "notes")},
        memory_bytes=None if memory is None else round(memory * GIB),
        unified_memory=value.get("unified_memory", False),
        bandwidth=None if bandwidth is None else bandwidth * 1e9,
        vector={key: _tera(peak) for key, peak in value.get("vector", {}).items()},
        compute=_rates(value["compute"], file, place),
        prices=tuple(_price({"memory_gib": memory, **price}, file, place) for price in value.get("prices", ())),
        driver_names=tuple(value.get("driver_names", ())),
        verified=frozenset(value.get("verified", {})),
        remarks={key: text for key, text in value.get("verified", {}).items() if text},
        sources=tuple((sources or {}).get(text, text) for text in value["sources"]),
    )


def _rates(rows: Mapping[str, Any], file: str, place: str) -> dict[str, Rate]:
    """The rates. A converted format without its own peak has the peak of the format it is converted to."""

    def peak(format: str, seen: tuple[str, ...] = ()) -> float | None:
        row = rows.get(format, {})
        if format in seen:
            raise FileFormatError(
                file, None, f"{place}.compute.{seen[0]}.via to end at a native format", " -> ".join([*seen, format])
            )
        return row["peak"] if "peak" in row or "via" not in row else peak(row["via"], (*seen, format))

    found = {}
    for format, row in rows.items():
        if ("via" in row) == ("basis" in row) or ("basis" in row and "peak" not in row):
            expected = f"{place}.compute.{format} to have a peak and its basis, or via if it is converted"
            raise FileFormatError(file, None, expected, ", ".join(row))
        if "via" in row and "peak" not in row and row["via"] not in rows:
            raise FileFormatError(file, None, f"{place}.compute.{format}.via to name one of its formats", row["via"])
        found[format] = Rate(
            native="via" not in row,
            peak=_tera(peak(format)),
            narrow_peak=_tera(row.get("narrow_peak")),
            vector_peak=_tera(row.get("vector_peak")),
            alternatives=tuple(row.get("alternatives", ())),
            **{key: row[key] for key in ("unit", "instruction")},
            **{key: row.get(key) for key in ("via", "basis", "note", "accumulate")},
        )
    return found


def _price(value: Mapping[str, Any], file: str, place: str) -> Price:
    price = Price(**value)
    if price.usd_low > price.usd_high:
        got = f"{price.usd_low} and {price.usd_high}"
        raise FileFormatError(file, None, f"{place}.prices with usd_low no higher than usd_high", got)
    return price


def _tera(peak: float | None) -> float | None:
    return None if peak is None else peak * TERA
