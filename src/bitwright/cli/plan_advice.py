"""The sentence in which `bitwright plan` ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitwright.cli.output import human_bytes, human_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bitwright.hardware.devices import Price
    from bitwright.hardware.plan import Row
    from bitwright.model.architectures.outline import Outline


def sentence(rows: Sequence[Row]) -> str:
    """What to take of one device's rows, what it leaves free, and how fast it is."""
    from bitwright.hardware.advice import advice
    from bitwright.hardware.plan import STORED

    found = advice(rows)
    row, device = found.row, found.row.device.id
    if row.capacity is None:
        return f"{device}: how much memory yours has is not known; --memory 64GB plans for that much"
    if not found.context:
        held = f"; {row.on_device} of its layers fit" if row.on_device else ""
        held = "; it runs with experts in the computer's memory" if row.experts else held
        return (f"{device}: nothing fits; the smallest, {row.recipe}, takes {human_bytes(row.memory.total)} of "
                f"{human_bytes(row.capacity)}{held}")  # fmt: skip
    speed = f", about {human_rate(row.forecast.decode.tokens_per_second)} tokens/s" if row.forecast else ""
    speed += ", slower than people read" if found.slow else ""
    what = "it as stored" if row.recipe == STORED else row.recipe
    take = f"{device}: take {what}, a file of {human_bytes(row.file_bytes)}"
    coarse = "; a smaller model in 4 bits or more is likely to be better" if found.coarse else ""
    if not row.fits:
        return f"{take}, with -c {found.context} ({row.ask.context} tokens do not fit){speed}{coarse}"
    left = f"{human_bytes(row.left or 0)} stay free at {row.ask.context} tokens"
    if row.tight:
        shorter = f", more with -c {found.context}" if found.context < row.ask.context else ""
        return f"{take}; only {left}{shorter}{speed}"
    return f"{take}; {left} ({row.longest} fit){speed}{coarse}"


def headroom(row: Row) -> str:
    """What to do about a row that fits with little to spare."""
    shorter = f"; -c {row.roomy} leaves enough" if row.roomy else ""
    left = human_bytes(row.left or 0)
    return f"{row.device.id}: {row.recipe} leaves {left}, less than a desktop or another program may take{shorter}"


def experts(rows: Sequence[Row]) -> str | None:
    """How one device that is too small for a mixture runs it; None if there is no such row."""
    held = [f"{row.recipe} {human_bytes(row.experts.host)}" for row in rows if row.experts]
    if not held:
        return None
    speed = "; --host CPU predicts the speed" if rows[0].ask.host is None else ""
    return (f"{rows[0].device.id}: n-cpu-moe N: the experts of the first N layers stay in the computer's memory, as "
            f"with llama.cpp's -ngl 999 --n-cpu-moe N, and take there: {', '.join(held)}{speed}")  # fmt: skip


def remade(outline: Outline, rows: Sequence[Row]) -> str | None:
    """What is wrong with asking for another format than the one that the makers publish."""
    from bitwright.hardware.plan import SHIPPED, STORED, shipped
    from bitwright.hardware.weights import assign, file_bytes

    others = dict.fromkeys(row.recipe for row in rows if row.recipe not in (SHIPPED, STORED))
    if not others or not shipped(outline):
        return None
    size = human_bytes(file_bytes(outline, assign(outline, SHIPPED), SHIPPED))
    return (f"the makers publish {outline.name} with MXFP4 experts: {SHIPPED} is that, {size}; "
            f"{', '.join(others)} would be made from it and lose more")  # fmt: skip


def largest(device: str, found: Sequence[tuple[Outline, Row]]) -> str:
    """The model with the most parameters of those that a device runs."""
    if not found:
        return f"{device}: none of the models in the list fits and decodes as fast as people read"
    outline, row = found[0]
    return f"{device}: the largest is {outline.name}, in {row.recipe}, about {human_rate(_speed(row))} tokens/s"


def purchase(offers: Sequence[tuple[Row, Price, float]], usd: float) -> str:
    """The offer with the most speed per dollar, and the fastest."""
    (best, price, _), fastest = offers[0], max((row for row, *_ in offers), key=_speed)
    most = f"most speed per dollar: {best.device.id} from ${price.usd_low:g}, about {human_rate(_speed(best))} tokens/s"
    if fastest.device is best.device:
        return f"{most}, also the fastest within ${usd:g}"
    return f"{most}; the fastest within ${usd:g}: {fastest.device.id}, about {human_rate(_speed(fastest))} tokens/s"


def _speed(row: Row) -> float:
    return row.forecast.decode.tokens_per_second if row.forecast else 0.0
