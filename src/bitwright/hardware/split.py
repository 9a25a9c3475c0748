"""A model split among devices and this machine's memory, by whole layers, as llama.cpp's --n-gpu-layers does.

The first layers, for which the devices have no room, stay in the machine's memory. Each device takes the layers that
follow, the last device the output too. The embedding stays in the machine's memory: its rows are looked up, not
multiplied.

Of a mixture, a device can hold everything but the experts of the first layers, as llama.cpp's --n-cpu-moe does: they
are most of the bytes, and a token reads few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bitwright.hardware.kv import BATCH, layer_bytes
from bitwright.hardware.memory import DRIVER, OVERHEAD, Footprint, compute_bytes
from bitwright.hardware.weights import assigned
from bitwright.model.architectures.names import EXPERTS, LOOKED_UP, layer_number
from bitwright.model.architectures.outline import Outline
from bitwright.recipes.recipe import Assignment, Recipe

ENGINE = "llama.cpp"


@dataclass(frozen=True)
class Placement:
    """What a device or the machine's memory holds. output: whether the output is part of it. memory: the bytes it
    takes. read: bytes of its weights that a token reads. budget: bytes it may take; None for the machine's memory."""

    layers: range
    output: bool
    memory: Footprint
    read: int
    budget: int | None


@dataclass(frozen=True)
class Split:
    """host: the machine's memory. devices: in the order given; one without room holds no layers and takes no memory."""

    host: Placement
    devices: tuple[Placement, ...]

    @property
    def offloaded(self) -> int:
        """How many layers are on devices."""
        return sum(len(device.layers) for device in self.devices)

    @property
    def whole(self) -> bool:
        """Whether every matrix that is multiplied is on a device."""
        return not self.host.layers and not self.host.output


@dataclass(frozen=True)
class ExpertSplit:
    """A mixture of which a device holds all but the experts of the first `layers` layers, the fewest for which it has
    room. host: bytes of these experts and of the embedding, in the machine's memory."""

    layers: int
    device: Footprint
    host: int


def split(
    outline: Outline,
    recipe: str | Recipe | Sequence[Assignment] | None,
    budgets: Sequence[int],
    context: int | None = None,
    kv: str = "f16",
    sequences: int = 1,
    batch: int = BATCH,
) -> Split:
    """Put as many layers on the devices as fit, next to the buffers and the driver's context that each device needs.

    budgets: free bytes of each device. A later device is filled before an earlier one, because the output follows the
    last layer.
    """
    parts, compute = _measured(outline, recipe, context, kv, sequences, batch)
    end, output, placed = len(outline.layers), False, list[Placement]()
    for budget in reversed(budgets):
        room, start = budget - compute - DRIVER, end
        takes_output = not output and end == len(outline.layers) and parts.output <= room
        room -= parts.output if takes_output else 0
        output = output or takes_output
        while output and start and parts.layer(start - 1) <= room:
            start -= 1
            room -= parts.layer(start)
        held = range(start, end)
        buffers = (compute, DRIVER) if held or takes_output else (0, 0)
        placed.append(parts.placement(held, takes_output, *buffers, budget))
        end = start
    host = parts.placement(range(end), not output, compute if end or not output else 0, OVERHEAD[ENGINE], None)
    return Split(host, tuple(reversed(placed)))


def split_experts(
    outline: Outline,
    recipe: str | Recipe | Sequence[Assignment] | None,
    budget: int,
    context: int | None = None,
    kv: str = "f16",
    sequences: int = 1,
    batch: int = BATCH,
) -> ExpertSplit | None:
    """Put all of a mixture but the experts of its first layers on a device of `budget` free bytes. None without
    experts, or if even what is not an expert has no room."""
    parts, compute = _measured(outline, recipe, context, kv, sequences, batch)
    whole = parts.placement(range(len(outline.layers)), True, compute, DRIVER, budget)
    over, moved = whole.memory.total - budget, 0
    for layer, experts in enumerate(parts.experts, 1):
        moved += experts
        if experts and moved >= over:
            held = replace(whole.memory, weights=whole.memory.weights - moved)
            return ExpertSplit(layer, held, moved + parts.embedding)
    return None


def _measured(
    outline: Outline,
    recipe: str | Recipe | Sequence[Assignment] | None,
    context: int | None,
    kv: str,
    sequences: int,
    batch: int,
) -> tuple[_Parts, int]:
    """The bytes of all parts, and of the buffers that each place needs."""
    context = context or outline.context
    caches = [sequences * layer_bytes(layer, context, kv, batch, ENGINE) for layer in outline.layers]
    held = assigned(outline, recipe)
    return _Parts(outline, held, caches), compute_bytes(outline, context, batch, ENGINE, held)


class _Parts:
    """Bytes of the weights of each layer and of its experts among them, of its keys and values, of the output, of the
    embedding, and of the copy of the embedding that serves as the output if there is no other."""

    def __init__(self, outline: Outline, assignments: Sequence[Assignment], kv: Sequence[int]) -> None:
        self.kv = kv
        self.weights, self.read = [0] * len(outline.layers), [0.0] * len(outline.layers)
        self.experts = [0] * len(outline.layers)
        self.others = self.embedding = self.copy = 0
        for a in assignments:
            index, share = layer_number(a.tensor), outline.share_read(a.tensor)
            if index >= 0:
                self.weights[index] += a.bytes if share else 0  # layers that predict further tokens are not loaded
                self.read[index] += share * a.bytes
                self.experts[index] += a.bytes if share and EXPERTS in a.tensor else 0
            elif a.tensor in LOOKED_UP:
                self.embedding += a.bytes
                self.copy += a.bytes if share else 0
            else:
                self.others += a.bytes

    @property
    def output(self) -> int:
        return self.others + self.copy

    def layer(self, index: int) -> int:
        return self.weights[index] + self.kv[index]

    def placement(self, layers: range, output: bool, compute: int, overhead: int, budget: int | None) -> Placement:
        """budget None: the machine's memory, which holds the embedding and needs no copy of it."""
        weights, read = sum(self.weights[i] for i in layers), sum(self.read[i] for i in layers)
        weights += self.embedding if budget is None else self.copy if output else 0
        weights += self.others if output else 0
        held = Footprint(weights, sum(self.kv[i] for i in layers), compute, overhead)
        return Placement(layers, output, held, round(read) + (self.output if output else 0), budget)
