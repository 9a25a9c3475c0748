"""How much KL divergence a format adds in one tensor, in nats per token, by layer errors or by measuring it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitwright.fit.choices import Choices, Levels, Scorer
from bitwright.fit.palette import Palette
from bitwright.formats import Format
from bitwright.progress import Progress

Float64 = NDArray[np.float64]


def layer_costs(
    palette: Palette, tensors: Sequence[str], formats: Sequence[Format], allowed: NDArray[np.bool_]
) -> Float64:
    """The divergence (tensors, formats) that the errors of single layers predict; infinite where not `allowed`.

    The palette keeps the objective tr(E H E') of every error E, where H is the mean of f x x' over tokens, x the input
    and f, of mean 1, the squared gradient at the outputs of the weights that read x. Near the original, a token adds
    half of E[(g' E x)²], with g the gradient at the outputs for a label drawn from the model's prediction. If errors
    and gradients of different outputs r and tokens are independent, that is half of the sum over r of E[g_r² (e_r x)²],
    or s_r e_r H e_r' with the mean squared gradients s. If errors are alike in all rows, it is half of the mean s times
    the objective. An embedding's row is looked up: its H is the mean of g g' itself, and the mean over the rows counts.
    An expert's means are over the tokens that it got, so its errors count only as often.
    Without gradients, the unit is unknown and differs from tensor to tensor.
    """
    statistics = palette.quantizer.statistics
    costs = np.full(allowed.shape, np.inf)
    for place, name in enumerate(tensors):
        moment = statistics.moment(name) if statistics else None
        gradients = statistics.sensitivity(name) if statistics else None
        if statistics is None or gradients is None:
            share = 1.0
        elif moment is not None and moment.weighting == "gradient":
            share = 1 / palette.model.tensors[name].shape[0]
        else:
            got = statistics.tokens(name).mean() / statistics.provenance.tokens
            share = float(gradients.mean(dtype=np.float64) * got)
        for level in np.flatnonzero(allowed[place]).tolist():
            costs[place, level] = share / 2 * palette.objective(name, formats[level])
    return costs


def measured_costs(
    scorer: Scorer,
    choices: Choices,
    base: Levels,
    chunks: Sequence[int],
    probes: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> Float64:
    """What the objective gains (tensors, formats) when one tensor of the candidate `base` takes another format: its
    mean over `chunks`, the same for all.

    `probes` (tensors, formats) says what to measure, None all that is allowed; the rest is not a number. Each probe
    runs the model from the changed layer on.
    """
    probes = choices.allowed if probes is None else probes & choices.allowed
    costs = np.full(probes.shape, np.nan)
    (start,) = scorer.score([base], chunks, base)
    for place in range(len(choices.tensors)):
        own = [level for level in np.flatnonzero(probes[place]).tolist() if level != base[place]]
        candidates = [(*base[:place], level, *base[place + 1 :]) for level in own]
        if candidates:
            costs[place, own] = (scorer.score(candidates, chunks, base) - start).mean(axis=1)
        costs[place, base[place]] = 0
        if progress:
            progress(place + 1, len(choices.tensors), choices.tensors[place])
    return costs
