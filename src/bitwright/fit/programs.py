"""Programs of candidates: packed tensors are shared, and those used lately are kept, so that going back is free."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from bitwright.errors import UsageError
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.recent import Recent
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels import Program, Step
from bitwright.kernels.backend import Backend
from bitwright.model.model import Model

Source = Callable[[str, Format], QuantizedTensor]  # a tensor in a format, by its name


def first_layers(step: Step) -> dict[str, int]:
    """The layer in which a step first reads each weight: 0 for the embedding, the last for the head."""
    borders, found = [buffer.id for buffer in step.borders], dict[str, int]()
    for op in step.ops:
        layer = max(0, bisect_left(borders, op.output.id) - 1)
        for name in op.weights:
            found.setdefault(name, layer)
    return found


class Programs:
    """Programs of candidates over one bank. Tensors that are no choice are the model's own.

    Packed tensors used lately stay alive, up to `keep` bytes, besides those of the whole program held last. UsageError
    for a choice that the model lacks.
    """

    def __init__(
        self, model: Model, choices: Choices, tensor: Source, backend: Backend, activations: str, keep: int
    ) -> None:
        missing = [name for name in choices.tensors if name not in model.tensors]
        if missing:
            raise UsageError(f"{model.path}: expected a tensor {missing[0]}, which is to be chosen, found none")
        self.model, self.choices, self._tensor, self._backend = model, choices, tensor, backend
        self.bank, self._activations = backend.bank(), activations
        layers = first_layers(model.step)
        self.layers = [layers[name] for name in choices.tensors]
        self.last = max(0, len(model.step.borders) - 1)
        self._multiplied = {name for op in model.step.ops if op.multiplies for name in op.weights}
        self._held: Recent[tuple[int, int], tuple[QuantizedTensor, object]] = Recent(keep)
        self._whole: Program | None = None
        self._levels: Levels = ()

    def begin(self, candidate: Levels, parent: Levels) -> int:
        """The first layer whose weights differ; the last if none do."""
        pairs = zip(self.layers, candidate, parent, strict=True)
        return min((layer for layer, own, other in pairs if own != other), default=self.last)

    def below(self, layer: int, levels: Levels) -> Levels:
        """What the input of a layer depends on: the levels of the tensors that earlier layers read."""
        return tuple(level for own, level in zip(self.layers, levels, strict=True) if own < layer)

    def whole(self, levels: Levels) -> Program:
        """The whole program of a candidate, kept until another one is asked for."""
        if self._whole is None:
            weights = {**self.model.tensors, **self._tensors(range(len(levels)), levels)}
            self._whole = self._backend.compile(self.model.step, weights, self.bank, self._activations)
            self.model.release()
        else:
            changed = [i for i, level in enumerate(levels) if level != self._levels[i]]
            if changed:
                self._whole = self._whole.replace(self._tensors(changed, levels))
        self._levels = levels
        return self._whole

    def part(self, candidate: Levels, parent: Levels, begin: int) -> Program:
        """A candidate from layer `begin` on, by changing the parent's program; earlier layers are alike."""
        changed = self._tensors([i for i, level in enumerate(candidate) if level != parent[i]], candidate)
        program = self.whole(parent)
        return program.cut(begin, tensors=changed) if begin else program.replace(changed)

    def _tensors(self, wanted: range | list[int], levels: Levels) -> dict[str, QuantizedTensor]:
        """Those tensors as the candidate has them, packed one by one: what is packed together is freed together."""
        found = {}
        for index in wanted:
            key, name = (index, levels[index]), self.choices.tensors[index]
            held = self._held.get(key)
            if held is None:
                tensor = self._tensor(name, self.choices.formats[levels[index]])
                [matrices] = self.bank.matrices([tensor], [name in self._multiplied])
                packed = sum(matrix.packed_bytes for matrix in matrices)
                held = self._held.put(key, (tensor, matrices), tensor.nbytes + packed)
            found[name] = held[0]
        return found
