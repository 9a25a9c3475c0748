"""Which experts a token uses: its choices, one row of their numbers and then their weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bitwright.errors import UsageError
from bitwright.kernels.ops.declaration import Array, Buffer, Call, Count, Op, Shape, Weight
from bitwright.kernels.ops.elementwise import sigmoid
from bitwright.kernels.ops.native import Entry, Lowering, Value

Scoring = Literal["softmax", "sigmoid", "share"]
ROUTE = {
    name: Entry(f"route_{name}", {"scale": "value", "groups": "heads", "groups_used": "index"}, weight="vector")
    for name in get_args(Scoring)
}
EVERY = Entry("every")
GROUP = Entry("group", phase="group", writes="groups")  # slots ordered by their experts


@dataclass(eq=False)
class Route(Op):
    """The choices (tokens, 2 * used) by `logits` (tokens, experts): the `used` largest, largest first and of equal ones
    the lower number, weighted by `scale` times the softmax of their logits. This is the softmax over all experts,
    normalized to a sum of 1 over the chosen.

    Scored by "sigmoid", those with the largest sigmoids are chosen, weighted by `scale` times the sigmoids, normalized
    so. `bias` (experts,) is added to sigmoids for the choice alone (DeepSeek-V3, https://arxiv.org/abs/2412.19437).
    Scored by "share", the weights are `scale` times the softmax over all experts, not normalized (DeepSeek-V2,
    https://arxiv.org/abs/2405.04434).

    Of experts in `groups` of equal size, a token chooses among those of the `groups_used` groups whose two largest
    scores, with the bias, have the largest sums (DeepSeek-V3).
    """

    logits: Buffer
    used: Count
    scale: float = 1.0
    scoring: Scoring = "softmax"
    bias: Weight | None = None
    groups: Count = 1
    groups_used: Count = 1

    kind = "route"
    entries = (*ROUTE.values(), GROUP)
    by_row = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bias is not None and self.scoring != "sigmoid":
            raise UsageError(f"route: {self.bias} is added to sigmoids, and the scoring is {self.scoring}")

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return 2 * self.used

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield "the remainder", 0, inputs[0] % self.groups
        yield "groups that a token uses", min(self.groups_used, self.groups), self.groups_used
        yield "experts that a token uses", min(self.used, inputs[0] // self.groups * self.groups_used), self.used
        if self.bias is not None:
            yield f"the shape of {self.bias}", (inputs[0],), shapes[0]

    def meaning(self, call: Call, logits: Array, bias: Array | None = None) -> Array:
        scores = sigmoid(logits) if self.scoring == "sigmoid" else logits
        chosen = _largest(self._in_groups(scores if bias is None else scores + bias), self.used)
        if self.scoring != "sigmoid":
            scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights = np.take_along_axis(scores, chosen, axis=1)
        total = (scores if self.scoring == "share" else weights).sum(axis=1, keepdims=True)
        return np.hstack([chosen, self.scale * weights / total])

    def _in_groups(self, scores: Array) -> Array:
        """The scores, and minus infinity in the groups that a token does not choose from."""
        if self.groups == 1:
            return scores
        grouped = scores.reshape(len(scores), self.groups, -1)
        sums = np.sort(grouped, axis=2)[:, :, -2:].sum(axis=2)
        kept = np.zeros(sums.shape, bool)
        np.put_along_axis(kept, _largest(sums, self.groups_used), True, axis=1)
        return np.where(kept[:, :, None], grouped, -np.inf).reshape(scores.shape)

    def gradient(self, call: Call, y: Array, logits: Array, bias: Array | None = None) -> tuple[Array]:
        choices, back = self.meaning(call, logits, bias), np.zeros_like(logits)
        chosen, weights, y = choices[:, : self.used].astype(np.intp), choices[:, self.used :], y[:, self.used :]
        total = np.sum(weights * y, axis=1, keepdims=True)
        own = weights * (y - total / self.scale)
        if self.scoring == "sigmoid":
            own *= 1 - sigmoid(np.take_along_axis(logits, chosen, axis=1))
        elif self.scoring == "share":
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            back = -total * shares / shares.sum(axis=1, keepdims=True)
        np.put_along_axis(back, chosen, own, axis=1)
        return (back,)

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        attributes = {name: getattr(self, name) for name in ROUTE[self.scoring].fields}
        choices = to.emit(ROUTE[self.scoring], reads, width, self.bias, **attributes)
        to.group(self.output, choices, experts=reads[0].width)
        return choices


def _largest(scores: Array, count: int) -> Array:
    """The places of the `count` largest scores of each row, largest first and of equal ones the first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


@dataclass(eq=False)
class Every(Op):
    """The choices (tokens, 2 * count) that send each row of x to `count` matrices, all of them, in order and with
    weights of 1: heads that have a matrix each."""

    x: Buffer
    count: Count

    kind = "every"
    entries = (EVERY, GROUP)
    by_row = True

    def width(self, inputs: list[int], shapes: list[Shape]) -> int:
        return 2 * self.count

    def meaning(self, call: Call, x: Array) -> Array:
        return np.tile(np.hstack([np.arange(self.count), np.ones(self.count)]), (len(x), 1))

    def gradient(self, call: Call, y: Array, x: Array) -> tuple[Array]:
        return (np.zeros_like(x),)

    def lower(self, to: Lowering, reads: list[Value], width: int) -> Value:
        choices = to.emit(EVERY, reads, width)
        to.group(self.output, choices, experts=self.count)
        return choices


@dataclass(eq=False)
class Reweigh(Op):
    """The choices, every weight times its expert's factor: `weight` is (experts,)."""

    choices: Buffer
    weight: Weight

    kind = "reweigh"
    entries = (Entry("reweigh", weight="vector"),)
    by_row = True

    def checks(self, inputs: list[int], shapes: list[Shape]) -> Iterable[tuple[str, Any, Any]]:
        yield f"the number of dimensions of {self.weight}", 1, len(shapes[0])

    def meaning(self, call: Call, choices: Array, weight: Array) -> Array:
        return choices * self._factors(choices, weight)

    def gradient(self, call: Call, y: Array, choices: Array, weight: Array) -> tuple[Array]:
        return (y * self._factors(choices, weight),)

    @staticmethod
    def _factors(choices: Array, weight: Array) -> Array:
        """Of every column of the choices; 1 of the experts' numbers."""
        numbers = choices[:, : choices.shape[1] // 2].astype(np.intp)
        return np.hstack([np.ones(numbers.shape, weight.dtype), weight[numbers]])
