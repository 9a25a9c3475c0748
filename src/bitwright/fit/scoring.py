"""Measures candidates by running them: each from the first layer in which it differs from its parent.

A candidate's program shares every packed tensor with its parent's but those that changed, and begins with the input
that the parent computed for the first changed layer. Both are kept from call to call within bounds, and neither changes
any number: a candidate scores the same, to the bit, as if it were run whole and alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UnknownNameError, UsageError
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.objectives import OBJECTIVES
from bitwright.fit.predictions import Predictions
from bitwright.fit.programs import Programs, Source
from bitwright.fit.recent import Recent
from bitwright.kernels import Memory, Program
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SKIPPED = 8  # the first positions of a chunk, one in this many, are read and not scored: they lack context
KEPT_WEIGHTS, KEPT_INPUTS = 512 << 20, 512 << 20  # bytes of packed tensors, and of layer inputs, kept between calls


class EngineScorer:
    """A Scorer (see `choices`) that runs candidates here, as the reference `engine` runs.

    `tensor` gives a tensor in a format; `tokens` (chunks, context) is the search text. `objective` is one of
    OBJECTIVES: the "mean" KL divergence in nats, that of the "tail", the worst twentieth of a chunk's tokens, or the
    rate of "divergence", one over the tokens until the likeliest token differs. `folder` holds the reference's
    predictions. `keep_weights` and `keep_inputs` bound the bytes of packed tensors and of layer inputs that are kept
    between calls, besides the parent's program.

    Raises UnknownNameError for another objective, UsageError for tokens that the model cannot read.
    """

    def __init__(
        self,
        engine: Engine,
        tensor: Source,
        choices: Choices,
        tokens: NDArray[np.int32],
        objective: str = "mean",
        folder: Path | None = None,
        keep_weights: int = KEPT_WEIGHTS,
        keep_inputs: int = KEPT_INPUTS,
    ) -> None:
        if objective not in OBJECTIVES:
            raise UnknownNameError("objective", objective, list(OBJECTIVES))
        if tokens.ndim != 2 or not 0 < tokens.shape[1] <= engine.context:
            raise UsageError(f"expected chunks of 1 to {engine.context} tokens, got tokens of shape {tokens.shape}")
        self.chunks, self.choices, self.objective = len(tokens), choices, objective
        first = tokens.shape[1] // SKIPPED
        self.predictions = Predictions(engine, tokens, first, folder)
        self.programs = Programs(
            engine.model, choices, tensor, engine.backend, engine.options.activations, keep_weights
        )
        self._backend, self._kv = engine.backend, engine.options.kv
        self._tokens, self._inputs = self.predictions.tokens, Recent[tuple[int, int, Levels], Float32](keep_inputs)
        self._positions = np.arange(tokens.shape[1])
        self._memory: Memory | None = None

    def prepare(self, chunks: Sequence[int] | None = None, progress: Progress | None = None) -> None:
        """Compute the reference's predictions of some chunks (None: of all) that are not on disk yet."""
        self.predictions.compute(range(self.chunks) if chunks is None else chunks, progress)

    def score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> Float64:
        """The objective (candidates, chunks), less is better."""
        return self.score_all(candidates, chunks, parent)[self.objective]

    def score_all(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> Mapping[str, Float64]:
        """Every one of OBJECTIVES (candidates, chunks) from one run, to show where they disagree."""
        references = self.predictions[chunks]
        result = {name: np.empty((len(candidates), len(chunks))) for name in OBJECTIVES}
        begins = [self.programs.begin(candidate, parent) for candidate in candidates]
        for index in sorted(range(len(candidates)), key=begins.__getitem__):
            begin = begins[index]
            hidden = self._hidden(chunks, begin, parent)
            run = self._runner(self.programs.part(candidates[index], parent, begin))
            for column, (chunk, reference) in enumerate(zip(chunks, references, strict=True)):
                compared = reference.compare(run(chunk, hidden[column]), self.predictions.threads)
                for name, objective in OBJECTIVES.items():
                    result[name][index, column] = objective(*compared)
        return result

    def _hidden(self, chunks: Sequence[int], layer: int, parent: Levels) -> list[Float32 | None]:
        """The inputs of a layer as the parent computes them, from the highest layers below it whose inputs are held."""
        if not layer:
            return [None] * len(chunks)
        found: list[Float32 | None] = []
        runs: dict[int, Callable[[int, Float32 | None], Float32]] = {}
        for chunk in chunks:
            below, hidden = layer + 1, None
            while hidden is None and below:
                below -= 1
                hidden = self._inputs.get((chunk, below, self.programs.below(below, parent))) if below else None
            if below < layer:
                if below not in runs:
                    runs[below] = self._runner(self.programs.whole(parent).cut(below, layer))
                hidden = runs[below](chunk, hidden)
                self._inputs.put((chunk, layer, self.programs.below(layer, parent)), hidden, hidden.nbytes)
            found.append(hidden)
        return found

    def _runner(self, program: Program) -> Callable[[int, Float32 | None], Float32]:
        """Runs a program over a chunk, from a layer's input if it begins with one."""
        context, positions = len(self._positions), self._positions
        executor = self._backend.executor(program, context)
        if self._memory is None:  # one does for all programs: every run begins at position 0
            self._memory = self._backend.memory(program, context, 1, context, self._kv)
        memory = self._memory

        def run(chunk: int, hidden: Float32 | None) -> Float32:
            return executor.run(memory, self._tokens[chunk], positions, 0 * positions, self.predictions.outputs, hidden)

        return run
