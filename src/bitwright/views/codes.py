"""What choosing codes well is worth, on one matrix of a model and its real inputs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import BitwrightError
from bitwright.measure.layer import early_matrix
from bitwright.model.model import Model
from bitwright.quantizers import slow_motion
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.measure.layer import Layer

FORMATS = ("q2_k", "q2_0", "q3_k", "iq4_xs", "q4_0", "q4_k", "mxfp4", "nvfp4")
SHOWN = 256  # columns of the row
SLOW = 32  # columns rounded one by one
GRIDS = (2, 4, 8)  # how many numbers each of them may become
TRIED, BLOCKS = 9, 24  # rows and runs of columns that these are chosen from


@lru_cache(1)  # a large vocabulary takes seconds to read
def layer(file: GGUF) -> dict[str, Any]:
    """tensor, formats (that its rows are shown in) and problem (None, or why the model cannot be shown: then there is
    neither tensor nor format)."""
    try:
        model = Model.from_gguf(file)
        name, _ = early_matrix(model), model.tokenizer
    except BitwrightError as error:
        return plain({"tensor": None, "formats": [], "problem": str(error)})
    columns = model.tensors[name].shape[1]
    shown = [name for name in FORMATS if columns % formats.get(name).block_size == 0]
    return plain({"tensor": name, "formats": shown, "problem": None})


def codes(layer: Layer, name: str) -> dict[str, Any]:
    """tensor, format, rows, columns, tokens{read, held_out}; errors{method: {weights, read, held_out}} of the matrix,
    as `Layer.errors`; row{index, start, importance, weights, decoded{method: weights}, errors (the same)} of one row,
    whose arrays are of the columns from `start`."""
    decoded = layer.encoded(formats.get(name))
    row = _median(np.square(layer.read @ (decoded["rtn"] - layer.weights).T).sum(axis=0))
    start = max(0, min(_loudest(layer, SHOWN), layer.weights.shape[1] - SHOWN))
    part = slice(start, start + SHOWN)
    return plain(
        {
            "tensor": layer.name,
            "format": name,
            "rows": layer.weights.shape[0],
            "columns": layer.weights.shape[1],
            "tokens": {"read": len(layer.read), "held_out": len(layer.held_out)},
            "errors": layer.errors(decoded),
            "row": {
                "index": row,
                "start": start,
                "importance": layer.importance[part],
                "weights": layer.weights[row, part],
                "decoded": {method: weights[row, part] for method, weights in decoded.items()},
                "errors": layer.of_row(row).errors({m: weights[row : row + 1] for m, weights in decoded.items()}),
            },
        }
    )


def feedback(layer: Layer) -> dict[str, Any]:
    """tensor, row, start, importance of some columns of a row, weights; grids[{count, numbers, plain{decoded, losses},
    feedback{targets, decoded, losses}}]: these columns rounded one by one (`slow_motion.Recording`) to as many numbers
    from the least weight to the largest. Of the columns tried, those where feedback helps most; of their rows the
    median."""
    rows, columns = layer.weights.shape
    tried = np.arange(rows)[:: max(1, rows // TRIED)]
    starts = SLOW * np.arange(max(1, columns // SLOW))[:: max(1, columns // SLOW // BLOCKS)]

    def gains(start: int) -> list[float]:
        return [_gain(_recorded(layer, row, start, GRIDS[1])) for row in tried.tolist()]

    start = min(starts.tolist(), key=lambda start: np.median(gains(start)))
    row, part = int(tried[_median(np.array(gains(start)))]), slice(start, start + SLOW)
    return plain({"tensor": layer.name, "row": row, "start": start, "importance": layer.importance[part],
                  "weights": layer.weights[row, part],
                  "grids": [_recorded(layer, row, start, count) for count in GRIDS]})  # fmt: skip


def _recorded(layer: Layer, row: int, start: int, count: int) -> dict[str, Any]:
    part = slice(start, start + SLOW)
    weights, hessian = layer.weights[row, part], layer.hessian[part, part]
    numbers = np.linspace(weights.min(), weights.max(), count)
    grid = np.tile(numbers, (len(weights), 1))
    plainly, fed = (slow_motion.record(weights, hessian, grid, feedback) for feedback in (False, True))
    return {"count": count, "numbers": numbers, "plain": {"decoded": plainly.decoded, "losses": plainly.losses},
            "feedback": vars(fed)}  # fmt: skip


def _gain(found: dict[str, Any]) -> float:
    """What is left of the loss with feedback."""
    return float(found["feedback"]["losses"].sum() / (found["plain"]["losses"].sum() or 1))


def _loudest(layer: Layer, width: int) -> int:
    """Where the run of `width` columns begins that has the column with the largest inputs."""
    return int(layer.importance.argmax()) // width * width


def _median(values: NDArray[Any]) -> int:
    return int(np.argsort(values)[len(values) // 2])
