"""What a search is about: a model, a budget in bytes, and what every format would take and cost in every tensor.

First a survey of all formats from some rows of each tensor; then those that could be used near the budget are built in
full, and weighed by gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration import ActivationStatistics, imatrix
from bitwright.calibration.texts import digest
from bitwright.fit import gathering, sensitivity, survey
from bitwright.fit.allocation import cheapest
from bitwright.fit.budget import Ask, Budget, budget, searched
from bitwright.fit.choices import Choices
from bitwright.fit.families import formats_for
from bitwright.fit.gathering import Pieces
from bitwright.fit.gradients import gradient_sums
from bitwright.fit.machines import Machines
from bitwright.fit.palette import Palette
from bitwright.fit.schedule import Schedule
from bitwright.fit.settings import Settings
from bitwright.io.aliases import cache_folder
from bitwright.kernels.sharing import single_blas
from bitwright.kernels.tape import missing
from bitwright.model.architectures import outline
from bitwright.model.model import Model
from bitwright.progress import Stage, silent
from bitwright.quantizers import Quantizer
from bitwright.quantizers.metadata import provenance

WEIGHED = 32  # chunks that gradients are taken on
EFFORT = 1  # of the tensors that candidates are made of


@dataclass(frozen=True)
class Problem:
    """A model and what may become of it. `choices` allow what was built in `palette`; `pieces` are the text; `effort`
    is that of the final codes."""

    model: Model
    pieces: Pieces
    statistics: ActivationStatistics
    budget: Budget
    palette: Palette
    choices: Choices
    effort: int


def prepare(
    model: Model,
    ask: Ask,
    settings: Settings,
    stage: Stage = silent,
    machines: Machines | None = None,
    schedule: Schedule | None = None,
) -> Problem:
    """The problem of fitting a model to what is asked for. What an interrupted call did is not done again. `machines`
    build the tensors; None: this one. `schedule` cuts what would take too long; None: nothing is cut.

    Raises UsageError for texts too short or statistics of another model, BudgetError if no choice of formats fits.
    """
    machines, schedule = machines or Machines(), schedule or Schedule()
    pieces, statistics = gathered(model, settings, stage, schedule)
    room = budget(outline.from_gguf(model.opened()), ask, provenance(settings.stats, statistics))
    palette = Palette(model.opened(), Quantizer(None, EFFORT, statistics, settings.threads))
    choices = surveyed(model, room, settings.palette, palette.quantizer, stage)
    room.check(choices)
    near = room.room if ask.max_kl is None else choices.bytes_of(cheapest(choices, ask.max_kl))
    lists = {span: restricted(choices, survey.shortlist(choices, near, span)) for span in survey.SPANS}
    least, source = lists[survey.SPANS[-1]].pairs, settings.stats or gathering.place(model, pieces, settings.seed)
    depends = (f"{model.sha256()} {ask} {settings.palette} {settings.seed} {digest(pieces.searched)} "
               f"{statistics.chunks} {statistics.provenance}")  # fmt: skip
    with stage("quantizing tensors") as report:
        if schedule.minutes is not None:
            machines.build(palette, least, source, report)  # which shows the pace
        effort = schedule.effort(palette, least, depends)
        choices = schedule.formats(palette, lists, depends)
        machines.build(palette, choices.pairs, source, report)
    limit = schedule.gradients(depends, len(pieces.raced[:WEIGHED]))
    choices = weighed(model, choices, palette, pieces, settings, stage, limit)
    return Problem(model, pieces, statistics, room, palette, choices, effort)


def gathered(
    model: Model, settings: Settings, stage: Stage = silent, schedule: Schedule | None = None
) -> tuple[Pieces, ActivationStatistics]:
    """The chunks to search on, and the statistics: the user's, or gathered on other chunks of the same text, fewer if
    the `schedule` says so."""
    schedule = schedule or Schedule()
    pieces = schedule.searched(model, gathering.cut(model, settings.search))
    if settings.stats is not None:
        return pieces, imatrix.read(settings.stats).fitted(model.tensors, settings.stats)
    pieces = schedule.statistics(model, pieces, settings, stage)
    return pieces, gathering.statistics(model, pieces, settings.seed, settings.threads, stage)


def surveyed(
    model: Model,
    budget: Budget,
    families: Sequence[str],
    quantizer: Quantizer,
    stage: Stage,
    sample: int = survey.ROWS,
) -> Choices:
    """Every tensor in every format of the families that it may take, with costs estimated from a `sample` of its
    rows."""
    tensors = searched(budget.outline)
    own = [formats_for(tensor, budget.outline.architecture, families) for tensor in tensors]
    formats = tuple(sorted({f for found in own for f in found}, key=lambda f: (f.bits_per_weight, f.name)))
    sizes, costs = np.zeros((len(tensors), len(formats)), np.int64), np.full((len(tensors), len(formats)), np.inf)
    with stage("surveying formats") as report, single_blas():  # small products, for which threads would only wait
        rows = {tensor.name: row for row, tensor in enumerate(tensors)}
        for done, name in enumerate(quantizer.hessians.together(rows) if quantizer.hessians else rows):
            report(done, len(tensors), name)
            row = rows[name]
            tensor, found = tensors[row], own[row]
            columns = [formats.index(format) for format in found]
            sizes[row, columns] = [budget.size(name, tensor.shape, format) for format in found]
            costs[row, columns] = survey.costs(model.tensors[name], found, quantizer, sample)
            model.release()
    return Choices(tuple(t.name for t in tensors), formats, sizes, costs)


def restricted(choices: Choices, kept: NDArray[np.bool_]) -> Choices:
    """The same choices where only what is `kept` (tensors, formats) may be used."""
    return replace(choices, cost=np.where(kept, choices.cost, np.inf))


def weighed(
    model: Model,
    choices: Choices,
    palette: Palette,
    pieces: Pieces,
    settings: Settings,
    stage: Stage,
    limit: Callable[[float], int] | None = None,
) -> Choices:
    """The choices with costs from gradients on as many chunks as `limit` says (None: all that there may be); from the
    errors of layers if an op of the model has no gradient."""
    tensors, formats = choices.tensors, choices.formats
    if missing(model.step):
        return replace(choices, cost=sensitivity.layer_costs(palette, tensors, formats, choices.allowed))
    with stage("weighing errors by gradients") as report:
        sums = gradient_sums(model, pieces.raced[:WEIGHED], tensors, formats, palette.tensor, choices.allowed,
                             settings.seed, settings.threads, report, cache_folder() / "searches", limit)  # fmt: skip
    return replace(choices, cost=sums.costs)
