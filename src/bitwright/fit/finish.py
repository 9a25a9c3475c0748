"""The end of a search: the file by the ordinary quantizer, measured on text the search never read, with its label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitwright.calibration import ActivationStatistics
from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.objectives import OBJECTIVES, over_chunks
from bitwright.fit.palette import Palette
from bitwright.fit.settings import Settings
from bitwright.formats import Format, QuantizedTensor
from bitwright.io import gguf, label
from bitwright.io.atomic import scratch
from bitwright.measure import next_token, overlap, setting, standard_text
from bitwright.measure.labelled import label_of
from bitwright.measure.overlap import sha256_of
from bitwright.measure.setting import Setting
from bitwright.measure.suite import Evaluation
from bitwright.model.model import Model
from bitwright.progress import Stage
from bitwright.quantizers import QuantizeResult, quantize
from bitwright.recipes import Recipe
from bitwright.statistics.interval import Interval

CONTEXT = 512  # tokens of a chunk of the held-out text
EFFORT = 3  # of the final codes; the recipe is fixed, so there is time


@dataclass(frozen=True)
class Finished:
    """bytes: of the written file, label included. quantized: what the quantizer reports. evaluation: of the file on the
    held-out text."""

    bytes: int
    quantized: QuantizeResult
    evaluation: Evaluation


def original(model: Model, settings: Settings) -> Engine:
    """The original as it is run on the held-out text."""
    return Engine(model, RunOptions(context=min(CONTEXT, model.config.context), threads=settings.threads))


def held_out(engine: Engine, settings: Settings, stage: Stage, writes: bool = True) -> Setting:
    """The original's predictions of the text that the search never reads, and with `writes` the texts that it writes.
    UsageError if the text is too short for intervals."""
    text = settings.held_out[1] if settings.held_out else standard_text.read()
    overlaps = [overlap.overlap(text, searched) for _, searched in settings.search]
    accept = next_token.check_intervals
    return setting.against(engine, text, "quick", engine.context, None, overlaps, stage, accept, writes)


def finish(
    model: Model,
    recipe: Recipe,
    output: Path,
    statistics: ActivationStatistics | None,
    held_out: Setting,
    threads: int | None,
    stage: Stage,
    effort: int = EFFORT,
    palette: Palette | None = None,
) -> Finished:
    """Write `model` in the formats of `recipe` to `output`, with the label of what was measured in `held_out`.

    The bytes of the tensors are those of `quantize` with this recipe, these statistics and this effort. Those that
    are so in `palette` are taken from there. The file appears in full or not at all.
    """

    def built(name: str, format: Format) -> QuantizedTensor | None:
        ready = palette is not None and palette.quantizer.effort == effort and palette.has(name, format)
        return palette.tensor(name, format) if ready and palette and model.tensors[name].format is not format else None

    with scratch(output.absolute().parent) as folder:
        small = folder / output.name
        with stage("writing the file") as report:
            made = quantize(model.path, recipe, small, (), False, threads, report, statistics, None, effort, built)
        engine = Engine(Model.from_gguf(gguf.open(small)), held_out.engine.options if held_out.engine else None)
        measured = setting.evaluate(engine, held_out, stage=stage)
        file = engine.model.opened()
        damage = label_of(measured, file, sha256_of(held_out.text), held_out.suite)
        size = label.write(file, damage, output)
    return Finished(size, made, measured)


def gains(engine: Engine, choices: Choices, tensor: Callable[[str, Format], QuantizedTensor], held_out: Setting,
          before: Levels, after: Levels) -> dict[str, Interval]:  # fmt: skip
    """How much less candidate `after` loses than `before` on the held-out text by each objective, as a share of what
    `before` loses. An objective by which that loses nothing is left out."""
    scores = []
    for levels in (before, after):
        chosen = {name: tensor(name, format) for name, format in choices.chosen(levels).items()}
        candidate = Engine(engine.model.with_tensors({**engine.model.tensors, **chosen}), engine.options)
        scores.append(next_token.score_tokens(candidate, held_out.reference))
    found = {}
    for name, objective in OBJECTIVES.items():
        old, new = (np.array(list(map(objective, own.divergences, own.same_top))) for own in scores)
        if old.any():
            found[name] = over_chunks((old - new) / old.mean())
    return found
