"""What happens to a weight between memory and accumulator: what the chip offers, what engines use, and the limits.

A product of a weight with B tokens reads `bits / 8` bytes and takes 2 B operations. Memory and multiplier take the same
time at the break-even batch

    B = bits / 8 * peak / (2 * bandwidth)

with the peak of the format that is really multiplied. Below it memory limits the speed (decode), above it the
multiplier does (prefill).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bitwright import kernels
from bitwright.hardware import engines
from bitwright.hardware.devices import Device, Rate, Standing
from bitwright.hardware.engines import Use
from bitwright.hardware.machine import Machine
from bitwright.hardware.number_format import NumberFormat, number_format
from bitwright.hardware.rates import COLUMNS, Kernel

Way = Literal["native", "converted", "int8", "unknown"]
BYTES = ("int8", "int16")  # int16: bytes whose products are summed in pairs, in 16 bits
INTEGERS = ("int16", "int8", "int4", "int1", "int32")
OLDER = {"hopper": "wgmma", "sm100": "tcgen05"}  # the instructions of the full int8 rate
BLOCK_SCALED = ("mxfp8", "mxfp4", "nvfp4")


@dataclass(frozen=True)
class Ability:
    """A native multiply of the chip that no engine uses for the format: it takes activations in that format too."""

    format: str
    unit: str
    instruction: str
    peak: float | None


@dataclass(frozen=True)
class ExecutionPath:
    """How engines compute with a number format on a device; where none runs it, how the chip would. unused: what the
    chip could do besides. peak (operations per second) and instruction: the chip's, for `multiplied_as`; None if not
    known. The standings say where the way and the peak come from, and remarks what sources say about them."""

    device: Device
    stored: NumberFormat
    path: Way
    multiplied_as: str | None
    unit: str | None
    instruction: str | None
    peak: float | None
    way_standing: Standing
    peak_standing: Standing
    alternatives: tuple[str, ...]
    remarks: tuple[str, ...]
    accumulated_in: str | None
    uses: tuple[Use, ...]
    measured: Kernel | None = None
    unused: Ability | None = None

    @property
    def headline(self) -> str:
        """What engines do with such weights here, in words; if none runs them, the chip's way."""
        ways: dict[str, list[str]] = {}
        for engine in dict.fromkeys(use.engine for use in self.uses if use.multiplied_as):
            own = {use.phase: self._way(use.multiplied_as) for use in self.uses if use.engine == engine}
            same = len(set(own.values())) == 1
            said = next(iter(own.values())) if same else ", ".join(f"{phase}: {way}" for phase, way in own.items())
            ways.setdefault(said, []).append(engine)
        if ways:
            return "; ".join(f"{said} ({', '.join(engines)})" for said, engines in ways.items())
        if self.path == "unknown":
            return "not known"
        return f"no engine here runs it; the chip: {self._way(self.multiplied_as)}"

    def _way(self, as_what: str | None) -> str:
        if as_what is None:
            return "not run"
        if as_what in BYTES:
            return "int8 on both sides"
        if as_what != self.stored.element:
            return f"converted to {as_what}"
        rate = self.device.compute.get(as_what)
        return f"native {as_what}" if rate and rate.native else f"{as_what}, which the chip emulates"

    @property
    def loaded(self) -> str:
        """What crosses the memory bus. When it loads a model, bitwright repacks some weights for its kernels."""
        s, stays = self.stored, f"packed, as stored: {self.stored.bits:g} bits of each weight cross the memory bus"
        if self.measured is None or s.format is None:
            return stays
        bits = 8 * kernels.bytes_read(s.format, COLUMNS, COLUMNS) / COLUMNS**2
        return stays if bits == s.bits else f"repacked when loaded: {bits:.4g} bits of each weight cross the memory bus"

    @property
    def converted_to(self) -> str:
        """What a weight becomes before it is multiplied, in words."""
        if self.path == "native":
            return "nothing: it is multiplied as it is"
        return "not known" if self.multiplied_as is None else f"{self.multiplied_as}, in registers"

    @property
    def scaled(self) -> str:
        """Where a block's scale is applied."""
        if not self.stored.scaled:
            return "no scale to apply"
        if self.path == "native" and self.stored.element in BLOCK_SCALED:
            return "inside the matrix instruction, per block"
        if self.multiplied_as in INTEGERS:
            return "once per block, in fp32, after the integer sum"
        return "when the weight is converted to a float, before the product"

    @property
    def break_even(self) -> float | None:
        """The batch, in tokens, at which multiplier and memory take the same time; by measured rates, if any."""
        size = self.stored.bits / 8
        if self.measured is not None:
            return size * self.measured.prefill / (2 * self.measured.decode)
        if self.peak is None or self.device.bandwidth is None:
            return None
        return size * self.peak / (2 * self.device.bandwidth)

    def peak_of(self, use: Use) -> float | None:
        """The chip's peak for the format that the engine multiplies, on the unit that the engine uses."""
        rate = self.device.compute.get(use.multiplied_as or "")
        if rate is None:
            return None
        return rate.peak if rate.unit == use.unit else self.device.vector.get(use.multiplied_as or "")

    @property
    def decode_note(self) -> str:
        """What bounds decode with this format on this device, in words."""
        bits, bandwidth = self.stored.bits, self.device.bandwidth
        if bandwidth is None:
            return "the memory's bandwidth is not known"
        most = f"at most {_si(8 * bandwidth / bits, 'weights/s')} at {bandwidth / 1e9:.4g} GB/s"
        if self.measured is not None:
            rate = self.measured.decode
            limit = "memory" if rate > 0.8 * bandwidth else "unpacking"
            measured = _si(8 * rate / bits, "weights/s")
            return f"{most}; measured {measured} ({rate / bandwidth:.0%}): {limit} is the limit"
        fewer, more = f"{16 / bits:.2g} times fewer bytes than", f"{bits / 16:.2g} times as many bytes as"
        than = fewer if bits < 16 else more if bits > 16 else "as many bytes as"
        return f"{most}, whatever multiplies them ({than} fp16)"

    @property
    def prefill_note(self) -> str:
        """What bounds prefill with this format on this device, in words."""
        if self.peak is None:
            return f"the peak of {self.multiplied_as or 'this multiply'} is not known"
        half = self.device.compute.get("fp16")
        base = half and (half.narrow_peak or half.peak)
        ratio = f", {_speed(self.peak / base)} fp16 weights" if base else ""
        note = f"at most {operations(self.peak, self.multiplied_as)} as {self.multiplied_as}{ratio}"
        for use in self.uses:
            same = {use.multiplied_as, self.multiplied_as} in ({self.multiplied_as}, set(BYTES))
            if use.phase != "decode" and use.multiplied_as is not None and not same:
                peak = self.peak_of(use)
                most = f", at most {operations(peak, use.multiplied_as)}" if peak else ""
                note += f"; {use.engine} multiplies as {use.multiplied_as}{most}"
        if self.measured is None:
            return note
        return f"{note}; measured {operations(self.measured.prefill, self.multiplied_as)} with 512 tokens"


def operations(peak: float, format: str | None) -> str:
    """989.4 TFLOP/s, or TOP/s for integers."""
    return _si(peak, "OP/s" if format in INTEGERS else "FLOP/s", "")


def _si(value: float, unit: str, space: str = " ") -> str:
    return f"{value / 1e12:.4g} T{space}{unit}" if value >= 1e12 else f"{value / 1e9:.4g} G{space}{unit}"


def _speed(ratio: float) -> str:
    return "as fast as" if 0.98 < ratio < 1.02 else f"{ratio:.2g} times as fast as"


def execution_path(name: str, device: Device, machine: Machine | None = None) -> ExecutionPath:
    """What the device does with the format. machine: this machine, if it is the device.

    Raises UnknownNameError for an unknown format.
    """
    s = number_format(name)
    like = _like(s, device)
    rate = device.compute.get(like)
    native = rate is not None and rate.native and like == s.element
    uses = tuple(engines.uses(s, device, native))
    if rate is None:
        unknown: Standing = "general knowledge"
        return ExecutionPath(device, s, "unknown", None, None, None, None, unknown, unknown, (), (), None, uses)
    taken, unused = rate, None
    use = engines.instead(uses, device, like if rate.native else rate.via, rate.unit)
    if use is not None:
        assert use.multiplied_as is not None
        if rate.native and like == s.element and like not in {use.multiplied_as for use in uses}:
            unused = Ability(like, rate.unit, rate.instruction, rate.peak)
        like, taken = use.multiplied_as, engines.as_used(device, use)
        native = like == s.element
    field = f"compute.{like}"
    read = [f"read: {device.remarks[key]}" for key in (f"{field}.way", field) if key in device.remarks]
    as_what = like if taken.native else taken.via
    note = f"{unused.format}: {rate.note}" if unused and rate.note else rate.note
    remarks = [*read, note, taken.note, _narrow(taken), _older(device, as_what)]
    plain = s.element is not None and use is None
    return ExecutionPath(
        device=device,
        stored=s,
        path="native" if native else "int8" if as_what in BYTES else "converted",
        multiplied_as=as_what,
        unit=taken.unit,
        instruction=taken.instruction if plain or native else f"unpacked, then as {like}: {taken.instruction}",
        peak=taken.peak,
        way_standing=use.standing if use else device.standing(f"{field}.way"),
        peak_standing="computed" if s.element is None else device.standing(field),
        alternatives=rate.alternatives,
        remarks=tuple(dict.fromkeys(text for text in remarks if text)),
        accumulated_in=taken.accumulate or ("int32" if as_what in INTEGERS else "fp32"),
        uses=uses,
        measured=machine.measured.kernels.get(s.format.name) if machine and s.format else None,
        unused=unused,
    )


def _older(device: Device, as_what: str | None) -> str | None:
    """Where the peak needs an instruction that llama.cpp does not use."""
    new = OLDER.get(device.arch or "") if as_what == "int8" else None
    return new and f"the peak is {new}'s; llama.cpp uses the older mma.sync, which reaches less, how much is not known"


def _like(s: NumberFormat, device: Device) -> str:
    """The element whose rate applies. Codes that no chip multiplies (5 bits, grids, ternary) are handled like 4-bit
    integers, or like int8 if 4-bit integers are native; powers of two like bf16."""
    if s.element is not None:
        return s.element
    if s.name == "float8_e8m0fnu":
        return "bf16"
    rate = device.compute.get("int4")
    return "int8" if rate is not None and rate.native else "int4"


def _narrow(rate: Rate) -> str | None:
    found = [
        rate.narrow_peak and f"{_si(rate.narrow_peak, 'FLOP/s', '')} with sums in fp16",
        rate.vector_peak and f"{_si(rate.vector_peak, 'OP/s', '')} on the vector lanes",
    ]
    return "; ".join(text for text in found if text) or None
