"""What one weight is worth: what the model expects next without it.

In most models a few large weights of the down projections, in an early layer, carry far more than their share
(https://arxiv.org/abs/2411.07191). They are found here by removing the farthest weights of those matrices in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bitwright import formats, kernels
from bitwright.errors import UsageError
from bitwright.formats import QuantizedTensor
from bitwright.measure.softmax import log_probabilities
from bitwright.recipes.roles import role
from bitwright.views.next_token import compared, text_of
from bitwright.views.plain import plain
from bitwright.views.weights import extreme

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.io.gguf import GGUF

PROMPT = "The sun rises in the east and sets in the"
TRIED, SHOWN, TOGETHER = 8, 4, 3  # weights
WRITTEN = 12  # tokens after the prompt

Weights = Mapping[str, Sequence[int]]  # the index of one weight in each of some tensors


def removal(file: GGUF, engine: Engine) -> dict[str, Any]:
    """prompt, tried (how many weights were removed in turn), written (the text the model goes on with), cases[{label,
    weights[{tensor, index, value, deviations}], divergence, top[], rest (`next_token.next_token`), written}]: the
    weights that matter most, the first of them together, and a middling weight of the first one's matrix.

    Matrices that a weight is taken from are multiplied as float32, with it and without. UsageError if the model has no
    down projection."""
    names = [t.name for t in file.tensors.values() if role(t.name) == "ffn_down" and len(t.shape) == 2]
    if not names:
        raise UsageError("the model has no down projection to take a weight from")
    ids = engine.tokenizer.encode(PROMPT)
    found = {name: extreme(file, name) for name in names}
    tried = sorted(names, key=lambda name: -abs(found[name]["deviations"]))[:TRIED]
    logits, written = _read(engine, {}, ids, WRITTEN)
    losses = {}
    for name in tried:
        without, _ = _read(engine, _tensors(file, {name: found[name]["index"]}), ids)
        losses[name] = compared(engine.tokenizer, log_probabilities(logits), log_probabilities(without))["divergence"]
    best = sorted(tried, key=lambda name: -losses[name])[:SHOWN]
    alone = [_case(file, engine, ids, f"{name} {found[name]['index']}", _at(found, [name])) for name in best]
    alone.sort(key=lambda case: -case["divergence"])
    first = [case["weights"][0]["tensor"] for case in alone[:TOGETHER]]
    others: list[tuple[str, Weights]] = [("a middling weight", {first[0]: _middling(file, first[0])})]
    if len(first) == TOGETHER:
        others.insert(0, (f"the first {TOGETHER} together", _at(found, first)))
    cases = [*alone, *(_case(file, engine, ids, label, chosen) for label, chosen in others)]
    return plain({"prompt": PROMPT, "tried": len(tried), "written": written, "cases": cases})


def _at(found: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> Weights:
    return {name: found[name]["index"] for name in names}


def _case(file: GGUF, engine: Engine, ids: list[int], label: str, weights: Weights) -> dict[str, Any]:
    with_it, _ = _read(engine, _tensors(file, weights, keep=True), ids)
    without, written = _read(engine, _tensors(file, weights), ids, WRITTEN)
    about = []
    for name, index in weights.items():
        value = float(_row(file, name, index[0])[index[1]])
        spread = extreme(file, name)["standard_deviation"]
        deviations = value / spread if spread else 0.0
        about.append({"tensor": name, "index": index, "value": value, "deviations": deviations})
    losses = compared(engine.tokenizer, log_probabilities(with_it), log_probabilities(without))
    return {"label": label, "weights": about, **losses, "written": written}


def _row(file: GGUF, name: str, row: int) -> np.ndarray:
    tensor = file.tensor(name)
    return kernels.dequantize(tensor.format, tensor.data[row])


def _tensors(file: GGUF, weights: Weights, keep: bool = False) -> dict[str, QuantizedTensor]:
    """The tensors as float32, without those weights, unless `keep`."""
    float32, made = formats.get("float32"), {}
    for name, index in weights.items():
        tensor = file.tensor(name)
        values = kernels.dequantize(tensor.format, tensor.data)
        if not keep:
            values[tuple(index)] = 0
        made[name] = QuantizedTensor(name, tensor.shape, float32, values.view(np.uint8))
    return made


def _middling(file: GGUF, name: str) -> list[int]:
    """The index of the weight of median size."""
    tensor = file.tensor(name)
    sizes = np.abs(kernels.dequantize(tensor.format, tensor.data)).reshape(-1)
    middle = sizes.size // 2
    return [int(i) for i in np.unravel_index(int(np.argpartition(sizes, middle)[middle]), tensor.shape)]


def _read(
    engine: Engine, tensors: Mapping[str, QuantizedTensor], ids: list[int], write: int = 0
) -> tuple[np.ndarray, str]:
    """The logits (vocabulary,) after `ids` with some tensors replaced, and the likeliest text that follows."""
    session = engine.session()
    if tensors:
        session.replace(tensors)
    logits = after = session.prefill(ids)
    text = []
    for _ in range(write):
        text.append(int(np.argmax(after)))
        after = session.step(text[-1])
    return logits, "".join(text_of(engine.tokenizer, id) for id in text)
