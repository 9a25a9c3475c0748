"""The buffers that bitwright's engine allocates for a batch of tokens.

The model's step is scheduled over tensors without values, as `kernels.Program` schedules it; what native/executor.cpp
takes for a schedule is added up here. Left out is the scratch of matrix products, which matters only where heads are so
narrow that attention needs less.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitwright import formats, kernels
from bitwright.errors import BitwrightError
from bitwright.hardware.kv import GROUP, padded
from bitwright.io.values import Values
from bitwright.kernels.memory import PAGE
from bitwright.kernels.ops.attention import Attention
from bitwright.kernels.ops.delta_rule import DeltaRule
from bitwright.kernels.ops.scan import Scan
from bitwright.kernels.schedule import Schedule
from bitwright.model.architectures.outline import Outline
from bitwright.model.config import Config
from bitwright.model.steps import build
from bitwright.model.weights import Weights
from bitwright.recipes.recipe import Assignment

LINE = 64  # bytes, to which everything is rounded up
SPLIT_TOKENS, RANGES, TILE_ROWS = 4, 32, 96  # native: kSplitTokens, kMostRanges, kTileRows
DELTA_TOKENS, EXPERT_PANELS = 24, 4  # native: kDeltaTokens, kExpertPanels


class Unread(NamedTuple):
    """A tensor without values. Of those, a step reads only what frequencies of rotations are divided by."""

    name: str
    shape: tuple[int, ...]

    def dequantize(self) -> NDArray[np.float32]:
        """Ones."""
        return np.ones(self.shape, np.float32)


class Needs(NamedTuple):
    """What a schedule needs. floats: of a token, in buffers and tables of angles. inputs: of products, the columns, the
    slots and the weights that read them. scratch: floats of each thread, in attention and states. partials: floats of
    attention for few tokens. experts: whether there are any."""

    floats: int
    inputs: tuple[tuple[int, int, frozenset[str]], ...]
    scratch: int
    partials: int
    experts: bool


def buffer_bytes(outline: Outline, batch: int, assignments: Sequence[Assignment]) -> int | None:
    """Bytes of all buffers for steps of `batch` tokens with weights in these formats; None for a model that the engine
    does not run."""
    if (needs := _needs(outline)) is None:
        return None
    given = {a.tensor: a.format for a in assignments}
    coded = {c.format for c in kernels.coverage(set(given.values())) if c.decode == "integer dot"}
    total = 4 * batch * needs.floats
    for columns, slots, readers in needs.inputs:
        total += batch * slots * _input_bytes(columns, any(given[name].name not in coded for name in readers))
    scratch = padded(4 * needs.scratch, LINE) + LINE
    if needs.experts:
        panel_rows = kernels.bytes_read(formats.get("f32"), 1, 1) // 4
        scratch += 4 * batch * EXPERT_PANELS * panel_rows
    return total + kernels.best_threads() * scratch + 4 * SPLIT_TOKENS * (RANGES + 1) * needs.partials


@lru_cache(maxsize=16)
def _needs(outline: Outline) -> Needs | None:
    tensors = {t.name: Unread(t.name, t.shape) for t in outline.tensors}
    try:
        config = Config.read(Values(outline.metadata, outline.name), tensors)
        step = build(config, Weights(tensors, Path(outline.name)))
        schedule = Schedule(step, tensors)
    except BitwrightError:
        return None
    widths = [width for place, width in enumerate(schedule.buffers) if place != schedule.result]
    tables = sum(2 * len(frequencies) // 4 for frequencies, _, _ in schedule.angles)
    readers: list[set[str]] = [set() for _ in schedule.inputs]
    for instruction in (i for phase in schedule.phases for i in phase.instructions):
        for value in instruction.reads:
            if value.kind == "input" and instruction.weight is not None:
                readers[value.place].add(instruction.weight)
    inputs = zip(schedule.inputs, map(frozenset, readers), strict=True)
    attending = [op for op in step.ops if isinstance(op, Attention)]
    repeat = max((op.heads // op.kv_heads for op in attending), default=1)
    rows = max(TILE_ROWS // repeat, 1) * repeat
    scratch = [_attention_scratch(rows, op.head_dim) for op in attending]
    scratch += [_state_scratch(op.key_dim, op.value_dim) for op in step.ops if isinstance(op, DeltaRule | Scan)]
    return Needs(
        floats=sum(widths) + tables,
        inputs=tuple((columns, slots, names) for (columns, slots), names in inputs),
        scratch=max(scratch, default=0),
        partials=max((_softmax_floats(op.heads, op.head_dim) for op in attending), default=0),
        experts=bool(schedule.groups),
    )


def _input_bytes(columns: int, as_floats: bool) -> int:
    """Bytes of one token's input of a product (native/kernels/input.inl): 64 for the codes of 32 columns, two more such
    groups for every 1024, and the values themselves if a weight reads floats, on one tier in BF16 as well."""
    value = 6 if kernels.tier() == "avx512_bf16" else 4
    return 64 * (padded(columns, 32) // 32 + 2 * padded(columns, 1024) // 1024) + as_floats * value * columns


def _softmax_floats(rows: int, head_dim: int) -> int:
    return rows * (padded(head_dim, GROUP) + 2)


def _attention_scratch(rows: int, head_dim: int) -> int:
    """Floats that a tile of `rows` rows needs (native/attention.h)."""
    tile = rows * (head_dim + PAGE + 1) + PAGE * (head_dim + padded(head_dim, GROUP))
    return 2 * _softmax_floats(rows, head_dim) + tile


def _state_scratch(key_dim: int, value_dim: int) -> int:
    """Floats that a head of a delta rule or a scan needs (native/recurrence.h)."""
    tokens, values = padded(DELTA_TOKENS, GROUP), padded(value_dim, GROUP)
    return DELTA_TOKENS * 2 * (key_dim + tokens + values) + key_dim * tokens + tokens + 2 * values
