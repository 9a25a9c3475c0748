"""How long decoding a token takes, tensor by tensor: a second budget beside bytes.

The speed model (`hardware.speed`) adds up times that are linear in what is read and multiplied, so that every tensor
has its own share; what no choice of formats changes is the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bitwright.formats import Format
from bitwright.formats.tensor import HasFormat
from bitwright.hardware import speed
from bitwright.hardware.devices import Device
from bitwright.hardware.forecast import load_of
from bitwright.hardware.kv import kv_read
from bitwright.hardware.speed import Load, PredictedSpeed
from bitwright.hardware.weights import assign
from bitwright.model.architectures.outline import Outline
from bitwright.recipes import Assignment

NOTHING = Load(0, 0, 0, 0, 0, 0, "block")


@dataclass(frozen=True)
class Pace:
    """The speed that decoding on a device must reach. floor: tokens per second. fixed: seconds of a token that no
    choice of formats changes."""

    device: Device
    floor: float
    fixed: float
    outline: Outline = field(repr=False)

    @property
    def room(self) -> float:
        """Seconds for the tensors that get a format."""
        return 1 / self.floor - self.fixed

    def seconds(self, tensor: str, shape: Sequence[int], format: Format) -> float:
        """The part of a token's time that a tensor takes in a format, as the speed model predicts it; 0 for one that is
        only looked up."""
        return _time(self.device, _load(self.outline, tensor, shape, format))

    def predicted(self, assignments: Iterable[Assignment], searched: Iterable[HasFormat]) -> PredictedSpeed:
        """The speed in these formats, of which those of `searched` tensors count beside `fixed`."""
        formats = {a.tensor: a.format for a in assignments}
        time = self.fixed + sum(self.seconds(t.name, t.shape, formats[t.name]) for t in searched)
        factor = speed.fitted()["decode"]["factors"][speed.backend_of(self.device)]
        return PredictedSpeed(1 / time, 1 / time / factor, factor / time)


def pace(outline: Outline, device: Device, floor: float, context: int, kv: str, searched: Iterable[HasFormat]) -> Pace:
    """The pace of at least `floor` tokens per second, with half of `context` in use as in plans.

    Raises UnknownSpeed if a figure of the device is not known.
    """
    chosen = {t.name for t in searched}
    kept = [t for t in outline.tensors if t.name not in chosen]
    whole = load_of(outline, assign(outline, None))
    layers = replace(NOTHING, layers=whole.layers, experts=whole.experts)
    fixed = _time(device, layers, kv_read(outline, context // 2, kv))
    fixed += sum(_time(device, _load(outline, t.name, t.shape, t.format)) for t in kept)
    return Pace(device, floor, fixed, outline)


def _load(outline: Outline, tensor: str, shape: Sequence[int], format: Format) -> Load:
    """What a tensor alone asks of a device."""
    share, stored = outline.share_read(tensor), format.stored_bytes(shape)
    multiplied = len(shape) > 1 and tensor.endswith(".weight")
    return replace(NOTHING, read=share * stored, stored=stored, active=share * math.prod(shape) if multiplied else 0,
                   kind=speed.kind_of(format.name))  # fmt: skip


def _time(device: Device, load: Load, cached: float = 0.0) -> float:
    """Seconds that a token takes for `load`."""
    backend, model = speed.backend_of(device), speed.fitted()["decode"]
    terms = speed.decode_terms(device, load, backend, cached)
    correction = model["families"].get(speed.family(device, backend), 0.0)
    return speed.seconds(terms, model["numbers"]) * math.exp(correction)
