"""What `bitwright fit` was asked for, from its options: the budget, the texts, the files to write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.cli import models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.fit.budget import Ask
    from bitwright.fit.settings import Text
    from bitwright.hardware.devices import Device


def asked(
    memory: str | None = None,
    device: str | None = None,
    size: str | None = None,
    bits: float | None = None,
    match: str | None = None,
    max_kl: float | None = None,
    min_speed: float | None = None,
    context: int | None = None,
    kv: str = "f16",
    engine: str = "llama.cpp",
) -> Ask:
    """The budget. A device is one by itself, unless another is given and the device is only to be fast enough.

    UsageError unless there is exactly one budget, or for a name or a size that means nothing.
    """
    from bitwright.fit.budget import Ask
    from bitwright.model import files

    chip = None if device is None else one_device(device)
    other = any(given is not None for given in (memory, size, bits, match, max_kl))
    if min_speed is not None and chip is None:
        raise UsageError("--min-speed needs the device that is to be so fast: --device NAME")
    if chip is not None and other and min_speed is None:
        raise UsageError("--device is a budget by itself: leave out the other one, or ask for a speed with --min-speed")
    return Ask(
        memory=None if memory is None else options.parse_size("--memory", memory),
        device=None if other else chip,
        size=None if size is None else options.parse_size("--size", size),
        bits_per_weight=bits,
        match=None if match is None else (files.open(models.resolve(match)).file_bytes, match),
        max_kl=max_kl,
        context=context,
        kv=kv,
        engine=engine,
        speed=None if min_speed is None or chip is None else (min_speed, chip),
    )


def one_device(name: str) -> Device:
    """The device of that name. UsageError if several have it."""
    from bitwright.hardware import devices

    found = devices.named([name])
    if len(found) > 1:
        raise UsageError(f"--device {name} means {len(found)} devices; name one: {', '.join(d.id for d in found)}")
    return found[0]


def different(files: Mapping[str, Path | None]) -> None:
    """UsageError if two options name the same file to write."""
    seen: dict[Path, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        place = path.absolute()
        if place in seen:
            raise UsageError(f"{seen[place]} and {option} would both write {path}")
        seen[place] = option


def texts(files: list[Path] | None) -> tuple[Text, ...]:
    """The texts to search on; none, and a remark, without files."""
    if not files:
        output.remark("no -f: searching on texts of this machine; text of the kind you use would be better")
    return tuple((path.name, options.read_text(path)) for path in files or ())


def held_out(file: Path | None) -> Text | None:
    """The text of the final measurement; None, and a remark, for bitwright's own."""
    if file is None:
        output.remark("no --held-out: the final measurement is on bitwright's own text (94 kB)")
        return None
    return file.name, options.read_text(file)
