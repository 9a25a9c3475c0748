"""What fits where, how fast, and what it costs: a model's formats on devices, one row each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bitwright.errors import UsageError
from bitwright.hardware.devices import Device, Price
from bitwright.hardware.forecast import Forecast, decode_split, forecast
from bitwright.hardware.memory import DRIVER, Footprint, longest_context, memory
from bitwright.hardware.speed import PredictedSpeed, UnknownSpeed
from bitwright.hardware.split import ExpertSplit, split, split_experts
from bitwright.hardware.weights import assign, bits_per_weight, file_bytes, is_stored
from bitwright.io import gguf
from bitwright.model.architectures.names import EXPERTS
from bitwright.model.architectures.outline import Outline
from bitwright.recipes.recipe import Assignment

if TYPE_CHECKING:
    from bitwright.hardware.machine import Machine

RECIPES = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "iq4_xs", "q3_k_m", "iq2_m")  # those shown for a 16-bit model
STORED, SIXTEEN_BITS = "as stored", 15.0  # bits per weight, at least; some tensors may have fewer
SHIPPED = "mxfp4_moe"  # the recipe of the GGUF files of models whose makers publish their experts in MXFP4
HEADROOM = 512 << 20  # bytes that a desktop or another program takes; general knowledge
LEAST_CONTEXT = 2048  # tokens; a shorter context is not useful
# The share of its memory that macOS gives a GPU, up to 36 GB and above (recommendedMaxWorkingSetSize); general
# knowledge.
APPLE_SHARES = (36 * 10**9, 2 / 3, 3 / 4)
HOUR, YEAR = 3600, 365 * 24 * 3600


@dataclass(frozen=True)
class Ask:
    """What a user asks for: tokens of context, the format of keys and values, sequences at once. host: the processor
    of the computer that a GPU is in, which can run a mixture's experts."""

    context: int
    kv: str = "f16"
    sequences: int = 1
    host: Device | None = None


@dataclass(frozen=True)
class Row:
    """One format of a model on one device. capacity: bytes that a model can use there; None if not known. longest: the
    longest context that fits. forecast: at the requested context or the longest one; None if none fits. on_device: if
    the model does not fit, how many layers do; the others stay in the machine's memory. experts: of a mixture that does
    not fit, how it does with experts in the machine's memory; split_decode: the speed then, if the ask names a host.
    unknown: why there is no forecast. file_bytes: of the GGUF file, with the tokenizer, which is estimated unless
    file_exact. roomy: for a row that is `tight`, the longest context that leaves HEADROOM."""

    device: Device
    recipe: str
    ask: Ask
    memory: Footprint
    capacity: int | None
    longest: int
    forecast: Forecast | None
    bits_per_weight: float
    file_bytes: int
    file_exact: bool
    quality: str = "not measured"
    on_device: int | None = None
    experts: ExpertSplit | None = None
    split_decode: PredictedSpeed | None = None
    unknown: str | None = None
    roomy: int = 0

    @property
    def fits(self) -> bool:
        """Whether the model fits; False if the capacity is unknown."""
        return self.capacity is not None and self.memory.total <= self.capacity

    @property
    def tight(self) -> bool:
        """Whether the model fits with less to spare than other programs take."""
        return self.fits and (self.left or 0) < HEADROOM

    @property
    def left(self) -> int | None:
        """Bytes that remain, negative if it does not fit; None if the capacity is unknown."""
        return None if self.capacity is None else self.capacity - self.memory.total

    @property
    def verdict(self) -> str:
        """In words: yes, yes with less context, no."""
        if self.capacity is None:
            return "memory not known"
        if self.fits:
            return "yes"
        return f"with {self.longest} tokens" if self.longest >= LEAST_CONTEXT else "no"


@dataclass(frozen=True)
class Cost:
    """What decoding costs. watts: power draw while decoding. kwh: dollars per kilowatt-hour. price: of the purchase, in
    dollars, spread over `years` of decoding around the clock."""

    watts: float = 0.0
    kwh: float = 0.0
    price: float = 0.0
    years: float = 3.0

    def per_million(self, tokens_per_second: float) -> float:
        """Dollars per million tokens."""
        power = self.watts / 1000 * self.kwh / HOUR
        return (power + self.price / (self.years * YEAR)) * 1e6 / tokens_per_second


def capacity(device: Device) -> int | None:
    """Bytes that weights, cache and buffers can use: a GPU's memory without its driver's part, the part of a Mac's
    memory that the system gives its GPU, all of any other memory; None if the device's memory is not known."""
    if device.memory_bytes is None:
        return None
    if device.vendor == "apple" and device.unified_memory:
        limit, below, above = APPLE_SHARES
        return int(device.memory_bytes * (below if device.memory_bytes <= limit * 1.08 else above))
    return device.memory_bytes - (DRIVER if device.kind == "gpu" else 0)


def engine_of(machine: Machine | None) -> str:
    """What runs a model: bitwright on this machine, llama.cpp on others."""
    return "llama.cpp" if machine is None else "bitwright"


def candidates(outline: Outline, recipes: Sequence[str] | None) -> dict[str, list[Assignment]]:
    """The formats to plan for: the recipes named, or without any the model as it is and, if it has 16 bits per weight
    or more, the usual recipes. Raises UnknownNameError for an unknown recipe."""
    if recipes:
        return {name.lower(): assign(outline, name) for name in recipes}
    stored = assign(outline, None)
    bits = bits_per_weight(outline, stored)
    found = {"f16" if SIXTEEN_BITS < bits < 17 else STORED: stored}
    if bits < SIXTEEN_BITS:
        return ({SHIPPED: assign(outline, SHIPPED)} if shipped(outline) else {}) | found
    return found | {name: assign(outline, name) for name in RECIPES}


def usual(outline: Outline) -> dict[str, list[Assignment]]:
    """The one format that most people run: as its makers publish it, a file as it is, or q4_k_m of 16-bit weights."""
    stored = assign(outline, None)
    if shipped(outline):
        return {SHIPPED: assign(outline, SHIPPED)}
    if bits_per_weight(outline, stored) < SIXTEEN_BITS:
        return {STORED: stored}
    return {"q4_k_m": assign(outline, "q4_k_m")}


def shipped(outline: Outline) -> bool:
    """Whether the makers publish the experts in MXFP4: as GGUF, the rest is in Q8_0. False for a GGUF file."""
    experts = {t.format.name for t in outline.tensors if EXPERTS in t.name and len(t.shape) > 2}
    return experts == {"mxfp4"} and not isinstance(outline.metadata, gguf.Metadata)


def quality(outline: Outline) -> str:
    """What the damage label of a GGUF file says, in words; "not measured" without a label or a GGUF file."""
    from bitwright.io import label

    found = label.of(outline.metadata) if isinstance(outline.metadata, gguf.Metadata) else None
    if found is None:
        return "not measured"
    return f"KL {found['kl_divergence.mean']:.4g} nats, same top {100 * found['same_top1']:.1f}% (label)"


def rows(
    outline: Outline,
    devices: Iterable[Device],
    formats: dict[str, list[Assignment]],
    ask: Ask,
    machine: Machine | None = None,
    quality: str = "not measured",
    room: int | None = None,
) -> list[Row]:
    """A row for each device and format. machine: this machine, if it is among the devices: it runs bitwright, the
    others llama.cpp. quality: of the model as it is stored. room: bytes to use instead of the device's capacity.

    Raises UsageError for a context longer than the model was trained on.
    """
    if ask.context > outline.context > 0:
        raise UsageError(f"--ctx {ask.context}: {outline.name} was trained on {outline.context} tokens")
    found = []
    for device in devices:
        here = machine if machine is not None and device.id == machine.device().id else None
        found += [
            row(outline, device, name, formats[name], ask, here, quality if name == STORED else None, room)
            for name in formats
        ]
    return found


def row(
    outline: Outline,
    device: Device,
    name: str,
    assignments: Sequence[Assignment],
    ask: Ask,
    machine: Machine | None = None,
    quality: str | None = None,
    room: int | None = None,
) -> Row:
    """One line of the plan: memory, speed and price of one recipe on one device."""
    options = {"kv": ask.kv, "sequences": ask.sequences, "engine": engine_of(machine)}
    needed = memory(outline, assignments, ask.context, **options)  # type: ignore[arg-type]
    total = room if room is not None else capacity(device)
    longest = 0 if total is None else longest_context(outline, assignments, total, **options)  # type: ignore[arg-type]
    made = None if is_stored(outline, assignments) else name
    size, exact = file_bytes(outline, assignments, made), not outline.vocabulary_bytes
    bits = bits_per_weight(outline, assignments)
    found = Row(device, name, ask, needed, total, longest, None, bits, size, exact, quality or "not measured")
    if found.verdict == "no":
        return offloaded(found, outline, assignments)
    if found.tight and total is not None:
        roomy = longest_context(outline, assignments, total - HEADROOM, **options)  # type: ignore[arg-type]
        found = replace(found, roomy=roomy)
    depth = min(ask.context, longest or ask.context) // 2
    try:
        return replace(found, forecast=forecast(device, outline, assignments, depth, ask.kv, ask.sequences, machine))
    except UnknownSpeed as error:
        return replace(found, unknown=str(error))


def offloaded(row: Row, outline: Outline, assignments: Sequence[Assignment]) -> Row:
    """What a GPU has room for if the whole model does not fit: whole layers with their cache, and of a mixture all but
    some experts. Nothing for other devices."""
    assert row.capacity is not None
    too_small = f"{row.device.id}: no speed for a format that does not fit"
    if row.device.kind != "gpu":
        return replace(row, unknown=too_small)
    room, ask = row.capacity + DRIVER, row.ask  # the driver's part, which `split` subtracts
    held = split(outline, assignments, [room], ask.context, ask.kv, ask.sequences).offloaded
    experts = split_experts(outline, assignments, room, ask.context, ask.kv, ask.sequences)
    rest = "; with some layers in the computer's memory the speed depends on that computer" if held else ""
    row = replace(row, on_device=held, experts=experts, unknown=f"{too_small}{rest}")
    if experts is None or ask.host is None or ask.sequences > 1:
        return row
    depth = ask.context // 2
    try:
        found = decode_split(row.device, ask.host, outline, assignments, experts.layers, depth, ask.kv)
    except UnknownSpeed as error:
        return replace(row, unknown=str(error))
    return replace(row, split_decode=found, unknown=None)


def by_budget(found: Iterable[Row], dollars: float) -> list[tuple[Row, Price, float]]:
    """The rows that fit on a device sold within the budget, each with a price and the tokens per second that a thousand
    dollars buy, the most first. A price range counts as its middle, and is within the budget if its low end is."""
    offers = []
    for row in found:
        for price in row.device.bought_for:
            if row.fits and row.forecast is not None and price.usd_low <= dollars:
                middle = (price.usd_low + min(price.usd_high, dollars)) / 2
                offers.append((row, price, row.forecast.decode.tokens_per_second / middle * 1000))
    return sorted(offers, key=lambda offer: -offer[2])
