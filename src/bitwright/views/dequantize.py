"""A block of a model multiplied in slow motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bitwright import formats
from bitwright.kernels import lanes
from bitwright.quantizers.tensor import encode_rows
from bitwright.views import codes
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bitwright.io.gguf import GGUF
    from bitwright.measure.layer import Layer


def shown(file: GGUF) -> dict[str, Any]:
    """formats (none if the model cannot be run, or if its rows are not whole blocks), that of the tensor first; problem
    (why the model cannot be run, else None)."""
    found = codes.layer(file)
    info = file.tensors[found["tensor"]] if found["tensor"] else None
    whole = info is not None and info.shape[1] % lanes.COLUMNS == 0
    names = sorted(lanes.FORMATS, key=lambda name: info is not None and name != info.format.name) if whole else []
    return plain({"formats": names, "problem": found["problem"]})


def dequantize(file: GGUF, layer: Layer, name: str) -> dict[str, Any]:
    """format, tensor, row, column, token (whose input it is), own (whether the tensor is stored in the format), bytes,
    input; exact (the dot product of the decoded block with the input, in float64), before (the same of the weights
    before they were brought into the format); targets[{target, result, steps[{kind, numbers{}, registers[{name, type,
    lanes, role, sources{register: [lanes for each lane]}}]}]}], as `kernels.lanes`."""
    format = formats.get(name)
    loudest = layer.importance.reshape(-1, lanes.COLUMNS).max(axis=1)
    column = lanes.COLUMNS * int(np.argsort(loudest)[len(loudest) // 2])  # an ordinary group
    part = slice(column, column + lanes.COLUMNS)
    token = len(layer.read) // 2
    order = np.argsort(np.abs(layer.weights[:, part] @ layer.read[token, part]))
    row = int(order[len(order) * 3 // 4])  # its products do not cancel
    weights, x = layer.weights[row, part], np.ascontiguousarray(layer.read[token, part], np.float32)
    stored = file.tensor(layer.name)
    own = stored.format is format
    first = column // format.block_size * format.block_bytes
    block = stored.data[row, first : first + format.block_bytes] if own else encode_rows(weights[None], format)[0]
    found = [(t, lanes.dot(format, block, x, t)) for t in lanes.TARGETS if lanes.available(format, t)]
    return plain(
        {
            "format": name,
            "tensor": layer.name,
            "row": row,
            "column": column,
            "token": token,
            "own": own,
            "bytes": block,
            "input": x,
            "exact": _product(format.dequantize(block), x),
            "before": _product(weights, x),
            "targets": [{"target": target, "result": dot.result, "steps": [_step(step) for step in dot.steps]}
                        for target, dot in found],
        }
    )  # fmt: skip


def _product(weights: NDArray[Any], x: NDArray[Any]) -> float:
    return float(weights.astype(np.float64) @ x.astype(np.float64))


def _step(step: lanes.Step) -> dict[str, Any]:
    return {**vars(step), "registers": [vars(register) for register in step.registers]}
