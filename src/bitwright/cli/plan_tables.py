"""What `bitwright plan` prints: for each question a table that fits a screen, or the view's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from bitwright.cli import output, plan_advice
from bitwright.cli.output import human_bytes, human_count
from bitwright.escapes import escaped

WIDE = 100  # columns of a screen that has room for intervals of speeds
FITS = {"yes": "yes", "no": "no", "memory not known": "?"}

if TYPE_CHECKING:
    from bitwright.hardware.devices import Device, Price
    from bitwright.hardware.machine import Machine
    from bitwright.hardware.plan import Ask, Cost, Row
    from bitwright.hardware.speed import PredictedSpeed
    from bitwright.model.architectures.outline import Outline
    from bitwright.recipes import Assignment


def formats(
    outline: Outline,
    quality: str,
    devices: Sequence[Device],
    machine: Machine | None,
    ask: Ask,
    formats: dict[str, list[Assignment]],
    room: int | None,
    cost: Cost | None,
    json: bool,
) -> None:
    """A table for each device, with a row for each format."""
    from bitwright.hardware import plan
    from bitwright.views.plan import plan as view

    rows = plan.rows(outline, devices, formats, ask, machine, quality, room)
    if json:
        output.print_json(view(outline, rows, cost))
        return
    output.say(_heading(outline, ask), 2)
    left_out = []
    for device in devices:
        print()
        output.say(_device_line(device, room), 2, output.bold)
        left_out += _table([row for row in rows if row.device is device], cost)
    print()
    output.say(f"quality: {quality}", 2)
    for device in devices:
        output.say(plan_advice.sentence([row for row in rows if row.device is device]), 2)
    for device in devices:
        if said := plan_advice.experts([row for row in rows if row.device is device]):
            output.remark(said)
    if advised := plan_advice.remade(outline, rows):
        output.remark(advised)
    for row in rows:
        if row.tight:
            output.remark(plan_advice.headroom(row))
    for reason in dict.fromkeys(row.unknown for row in rows if row.unknown):
        output.remark(reason)
    output.remark(_footnote(devices, machine, all(row.file_exact for row in rows)))
    _say_left_out(left_out)


def _table(rows: Sequence[Row], cost: Cost | None) -> list[str]:
    """Print a row for each format; returns the columns left out."""
    headers = ["format", ">file", ">weights", ">cache", ">buffers", ">total", ">left", "fits", ">longest"]
    headers += ["decode t/s", "prefill t/s", "as"] + [">$/M tokens"] * (cost is not None)
    cells = []
    for row in rows:
        m, speeds = row.memory, row.forecast
        line = [row.recipe, *map(human_bytes, (row.file_bytes, m.weights, m.kv, m.compute + m.overhead, m.total))]
        line += [
            "?" if row.left is None else human_bytes(row.left),
            (output.good if row.fits and not row.tight else output.bad if row.verdict == "no" else str)(fits(row)),
            str(row.longest or "-"),
        ]
        line += [speed(row, "decode"), speed(row, "prefill"), speeds.multiplied_as if speeds else "-"]
        line += [_dollars(row, cost)] * (cost is not None)
        cells.append(line)
    return output.print_table(headers, cells, drop=["as", "buffers", "cache", "weights", "left"])


def fits(row: Row) -> str:
    """yes, barely (with little to spare), no, "shorter" (only with the longest context shown), or for a GPU that is too
    small how many layers it holds, or how many layers' experts it leaves to the computer."""
    if row.experts:
        return f"n-cpu-moe {row.experts.layers}"
    if row.on_device:
        return f"{row.on_device} layers"
    return "barely" if row.tight else FITS.get(row.verdict, "shorter")


def speed(row: Row, what: Literal["decode", "prefill"]) -> str:
    """The speed, on a screen with room for it with its interval, to three digits."""
    estimate: PredictedSpeed | None = getattr(row.forecast, what, row.split_decode if what == "decode" else None)
    if estimate is None:
        return "-"
    middle, low, high = map(output.human_rate, (estimate.tokens_per_second, estimate.low, estimate.high))
    return middle if narrow() else f"{middle} ({low}-{high})"


def _say_left_out(titles: Sequence[str]) -> None:
    output.say_left_out([*titles, *["the speeds' 90% intervals"] * narrow()])


def narrow() -> bool:
    """Whether the screen has too few columns for intervals."""
    return (output.screen() or WIDE) < WIDE


def _dollars(row: Row, cost: Cost | None) -> str:
    return (
        "-"
        if cost is None or row.forecast is None
        else f"{cost.per_million(row.forecast.decode.tokens_per_second):.3f}"
    )


def _heading(outline: Outline, ask: Ask) -> str:
    active = f", {human_count(outline.active_parameters)} active" if outline.experts else ""
    at_once = f", {ask.sequences} sequences at once" if ask.sequences > 1 else ""
    return (f"{escaped(outline.name)}: {human_count(outline.parameters)} parameters{active}, shape {outline.standing}; "
            f"context {ask.context}, {ask.kv} cache{at_once}")  # fmt: skip


def _device_line(device: Device, room: int | None) -> str:
    from bitwright.hardware.plan import capacity

    usable = room if room is not None else capacity(device)
    memory = "memory not known (--memory)" if usable is None else f"{human_bytes(usable)} usable"
    if device.memory_bytes is not None and room is None:
        memory = f"{device.memory_bytes / 2**30:.0f} GiB ({memory})"
    bandwidth = (
        "?" if device.bandwidth is None else f"{device.bandwidth / 1e9:.0f} GB/s ({device.standing('bandwidth')})"
    )
    return "; ".join([f"{device.id}: {device.name}", memory, bandwidth, *map(_price_text, device.prices)])


def _price_text(price: Price) -> str:
    span = f"${price.usd_low:.0f}" + (f"-{price.usd_high:.0f}" if price.usd_high > price.usd_low else "")
    memory = "" if price.memory_gib else " (memory not stated)"
    return f"{span} {price.condition}{memory}, {price.date}"


def _footnote(devices: Sequence[Device], machine: Machine | None, exact: bool = True) -> str:
    from bitwright.hardware.speed import fitted

    notes = ["decode speed assumes half of the context is in use, prefill a prompt of 512 tokens"]
    notes[0] += "" if narrow() else "; brackets: 90% interval"
    if not exact:
        notes.append("the tokenizer's part of a file is estimated")
    if machine is None or len(devices) > 1:
        judged = {what: fitted()[what]["judged"] for what in ("decode", "prefill")}
        errors = " and ".join(f"{100 * judged[what]['median error']:.0f}% ({what})" for what in judged)
        notes.append(f"predicted for llama.cpp; the median error on devices left out of the fit is {errors}")
    if machine is not None:
        notes.append(f"this machine: predicted for bitwright, from rates measured on {machine.measured.date}")
    return "; ".join(notes)


def budget(outline: Outline, usd: float, ask: Ask, recipes: Sequence[str] | None, json: bool) -> None:
    """Devices sold within the budget on which the model fits, by tokens per second per dollar."""
    from bitwright.errors import BitwrightError
    from bitwright.hardware import plan
    from bitwright.hardware.devices import devices
    from bitwright.views.budget import budget as view

    known = devices().values()
    sold = [device for device in known if device.bought_for]
    formats = plan.candidates(outline, recipes) if recipes else plan.usual(outline)
    offers = plan.by_budget(plan.rows(outline, sold, formats, ask), usd)
    if json:
        output.print_json(view(outline, usd, offers, len(known) - len(sold)))
        return
    prices = f"prices of {len(sold)} devices are known, {len(known) - len(sold)} others are left out"
    if not offers:
        tried = ", ".join(formats)
        raise BitwrightError(f"no device sold for {usd:g} dollars fits {outline.name} in {tried}; {prices}")
    output.say(_heading(outline, ask) + f"; within ${usd:g}", 2)
    print()
    headers = ["device", "format", ">file", ">total", ">left", "decode t/s", ">t/s per $1000"]
    left_out = output.print_table([*headers, "price", "date", "source"], [
        [row.device.id, row.recipe, *map(human_bytes, (row.file_bytes, row.memory.total, row.left or 0)),
         speed(row, "decode"), f"{per:.0f}", _price_text(p).partition(",")[0], p.date, p.source]
        for row, p, per in offers
    ], drop=["source", "file", "total", "date", "left"] if narrow() else [])  # fmt: skip
    _say_left_out(left_out)
    print()
    output.say(plan_advice.purchase(offers, usd), 2)
    output.remark(f"{prices}; prices change, check before you buy")


def models(
    devices: Sequence[Device], machine: Machine | None, context: int, kv: str, room: int | None, json: bool
) -> None:
    """The models that each device runs, largest first."""
    from bitwright.hardware import catalogue
    from bitwright.views.models import models as view

    found = {d.id: catalogue.models(d, context, kv, machine if d is devices[-1] else None, room) for d in devices}
    if json:
        output.print_json(view(pair for pairs in found.values() for pair in pairs))
        return
    left_out: list[str] = []
    for device in devices:
        output.say(_device_line(device, room), 2, output.bold)
        headers = ["model", ">parameters", "format", ">context", ">file", ">total", ">left", ">longest", "decode t/s"]
        left_out += output.print_table([*headers, "prefill t/s"], [
            [o.name.partition(" (")[0] if narrow() else o.name, human_count(o.parameters), row.recipe, row.ask.context,
             *map(human_bytes, (row.file_bytes, row.memory.total, row.left or 0)), row.longest, speed(row, "decode"),
             speed(row, "prefill")]
            for o, row in found[device.id]
        ], drop=["context", "file", "left", "parameters", "longest"])  # fmt: skip
        print()
        output.say(plan_advice.largest(device.id, found[device.id]) + "\n", 2)
    formats = ", ".join(catalogue.USEFUL)
    useful = f"each model in the best of {formats} that fits and decodes at least {catalogue.READING:g} tokens/s"
    output.remark(f"{useful}; {_footnote(devices, machine)}")
    _say_left_out(left_out)


def devices(json: bool) -> None:
    """All devices with their numbers and prices."""
    from bitwright.hardware.devices import devices as known
    from bitwright.views.devices import devices as view

    if json:
        output.print_json(view(known().values()))
        return
    headers = ["device", "name", ">year", ">memory", ">GB/s", "", ">fp16", "", ">int8", "", "price"]
    rows = []
    for d in known().values():
        memory = "-" if d.memory_bytes is None else f"{d.memory_bytes / 2**30:.0f} GiB"
        bandwidth = "?" if d.bandwidth is None else f"{d.bandwidth / 1e9:.0f}"
        peaks = [cell for format in ("fp16", "int8") for cell in (_peak(d, format), _mark(d, f"compute.{format}"))]
        prices = "; ".join(map(_price_text, d.prices)) or "-"
        rows.append([d.id, d.name, d.year or "?", memory, bandwidth, _mark(d, "bandwidth"), *peaks, prices])
    left_out = output.print_table(headers, rows, drop=["year", "name", "price"])
    print()
    output.say("r: read in a source, c: computed, g: general knowledge; fp16 and int8 in 10^12 operations per second, "
               "~: of the format it is converted to", 2)  # fmt: skip
    output.say_left_out(left_out)


def _mark(device: Device, field: str) -> str:
    return device.standing(field)[0]


def _peak(device: Device, format: str) -> str:
    rate = device.compute.get(format)
    if rate is None or rate.peak is None:
        return "?"
    from bitwright.hardware.document import tera

    return f"{'' if rate.native else '~'}{tera(rate.peak)}"
