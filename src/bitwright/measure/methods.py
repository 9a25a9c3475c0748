"""A whole model in one format, its codes chosen in different ways: what each way does to the next token."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.calibration import ActivationStatistics
from bitwright.calibration.second_moments import gather
from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.formats import Format
from bitwright.measure import standard_text
from bitwright.measure.layer import WINDOW
from bitwright.measure.softmax import log_probabilities
from bitwright.quantizers import Quantizer
from bitwright.quantizers.tensor import takes_importance
from bitwright.recipes.roles import is_quantized

if TYPE_CHECKING:
    from bitwright.model.model import Model

READ, TOKENS = 2048, 160  # to gather statistics on; to compare on
SEPARATOR, DOCUMENT = "<|endoftext|>", 11  # which is compared on: far behind those that are read
TOP = 5  # tokens compared after each
EFFORT = 0  # of feedback: the first pass brings most of it


@dataclass(frozen=True)
class Compared:
    """ids (tokens,) of a text that no method has seen; top (tokens, TOP), the tokens that the model as it is expects
    most after each; chances (tokens, TOP) of these tokens, by "reference" and by method; divergence (tokens,), by
    method the KL(reference || method) in nats, and agrees (tokens,), whether its likeliest token is the same."""

    ids: NDArray[np.int32]
    top: NDArray[np.int64]
    chances: Mapping[str, NDArray[np.float64]]
    divergence: Mapping[str, NDArray[np.float64]]
    agrees: Mapping[str, NDArray[np.bool_]]


def matrices(model: Model, format: Format) -> list[str]:
    """The matrices inside of layers that can be brought into the format, and are not in it yet."""
    names = dict.fromkeys(op.weights[0] for op in model.step.ops if op.multiplies)
    shapes = {name: model.tensors[name].shape for name in names if name.startswith("blk.")}
    kept = [name for name, shape in shapes.items() if not is_quantized(name, shape, model.config.architecture)]
    fitting = [name for name, shape in shapes.items() if name not in kept and shape[-1] % format.block_size == 0]
    return [name for name in fitting if model.tensors[name].format is not format]


def weights(model: Model, format: Format) -> int:
    """How many weights they have."""
    return sum(math.prod(model.tensors[name].shape) for name in matrices(model, format))


def by_method(model: Model, format: Format, threads: int | None = None) -> Compared:
    """The next tokens of the model, and of its matrices in `format` by each method that the format allows."""
    text, width = standard_text.read(), min(WINDOW, model.config.context)
    passage = model.tokenizer.encode(text.split(SEPARATOR)[DOCUMENT].strip())
    held_out = np.array(passage[: min(TOKENS, width)], np.int32)
    texts = [("the standard text", model.tokenizer.encode(text)[: READ // width * width])]
    reference = _next(model, held_out, threads)
    top = np.argsort(-reference, axis=1)[:, :TOP]
    chances, divergence, agrees = {"reference": np.exp(np.take_along_axis(reference, top, 1))}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        found = gather(model, texts, Path(folder) / "moments.gguf", width, fisher=False, threads=threads)
        for method, quantizer in _ways(format, found, threads).items():
            rows = _next(_quantized(model, format, quantizer), held_out, threads)
            chances[method] = np.exp(np.take_along_axis(rows, top, 1))
            divergence[method] = np.array([_divergence(p, q) for p, q in zip(reference, rows, strict=True)])
            agrees[method] = rows.argmax(axis=1) == top[:, 0]
    return Compared(held_out, top, chances, divergence, agrees)


def _ways(format: Format, found: ActivationStatistics, threads: int | None) -> dict[str, Quantizer]:
    ways = {"rtn": Quantizer("rtn", threads=threads), "search": Quantizer("search", threads=threads)}
    if takes_importance(format):
        ways["importance"] = Quantizer("search", statistics=found, threads=threads)
    return ways | {"feedback": Quantizer("feedback", EFFORT, found, threads)}


def _divergence(log_p: NDArray[np.float64], log_q: NDArray[np.float64]) -> float:
    p = np.exp(log_p)
    return float(np.where(p > 0, p * (log_p - log_q), 0).sum())


def _quantized(model: Model, format: Format, quantizer: Quantizer) -> Model:
    names = matrices(model, format)
    ordered = quantizer.hessians.together(names) if quantizer.hessians else names
    return model.with_tensors(
        {**model.tensors, **{name: quantizer.quantize(model.tensors[name], format) for name in ordered}}
    )


def _next(model: Model, ids: NDArray[np.int32], threads: int | None) -> NDArray[np.float64]:
    session = Engine(model, RunOptions(context=len(ids), threads=threads)).session()
    return np.array([log_probabilities(row) for row in session.extend(ids, range(len(ids)))])
