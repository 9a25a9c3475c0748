"""A found recipe applied to a sister model: not searched, but measured and labelled as after a search."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bitwright import system
from bitwright.fit import budget, finish, problem
from bitwright.fit.reuse import reuse
from bitwright.fit.schedule import Schedule
from bitwright.fit.settings import Fitted, Settings
from bitwright.io import atomic
from bitwright.model.architectures import outline
from bitwright.model.model import load as load_model
from bitwright.progress import Stage, silent
from bitwright.quantizers.metadata import provenance
from bitwright.recipes import Recipe, Shape, fallbacks


def reapply(
    source: str | Path,
    recipe: Recipe,
    name: str,
    settings: Settings,
    output: str | Path,
    stage: Stage = silent,
    told: Callable[[str], object] = lambda said: None,
) -> Fitted:
    """Write `source` to `output` in the formats that `recipe`, called `name`, has for it (`reuse`). `told` hears at
    once what time leaves out.

    Raises UsageError for texts too short or an output that must not be written.
    """
    started, output, schedule = time.monotonic(), Path(output), Schedule.of(settings, told)
    atomic.check(output)
    model = load_model(source)
    engine = finish.original(model, settings)
    schedule.begin(engine, settings.stats is None, stage)
    held_out = finish.held_out(engine, settings, stage, schedule.writes(model, settings))
    _, statistics = problem.gathered(model, settings, stage, schedule)
    shape = outline.from_gguf(model.opened())
    found = reuse(recipe, budget.searched(shape))
    assignments = found.recipe.assign(Shape.of(shape.metadata), shape.tensors, importance=True)
    made = finish.finish(model, found.recipe, output, statistics, held_out, settings.threads, stage)
    return Fitted(
        source=model.path,
        output=output,
        budget=budget.of_formats(shape, name, {a.tensor: a.format for a in assignments},
                                 provenance(settings.stats, statistics)),
        bytes=made.bytes,
        assignments=tuple(made.quantized.assignments),
        bits_per_weight=made.quantized.bits_per_weight,
        seconds=time.monotonic() - started,
        peak_memory_bytes=system.peak_memory_bytes(),
        disk_bytes=0,
        measured=made.evaluation,
        cut=tuple(schedule.cut),
        warnings=(*found.remarks, *fallbacks(assignments), *made.quantized.warnings),
    )  # fmt: skip
