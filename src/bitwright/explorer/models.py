"""The subject's model, as it is and quantized by a few recipes, ready to run."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING

from bitwright.engine import Engine
from bitwright.engine.engine import RunOptions
from bitwright.errors import BitwrightError, UnknownNameError
from bitwright.model.model import Model
from bitwright.quantizers import Quantizer
from bitwright.quantizers.tensor import can_encode
from bitwright.recipes import Assignment, Recipe, Shape
from bitwright.recipes.recipe import NEEDS_IMPORTANCE
from bitwright.views import parting, plans

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.kernels import Program
    from bitwright.measure.rollout.reading import Reading
    from bitwright.measure.rollout.writing import Rollout

RECIPES = ("q8_0", "q4_k_m", "q4_0", "q2_k", "q2_0")
CONTEXT = 512  # tokens
HELD = 2  # quantized models in memory at a time
MOST = 2.5e9  # weights of a model that is run while someone waits


class Models:
    """Engines of a file and of what recipes make of it. They are built when first asked for, without calibration, and
    kept in memory; any thread may ask.

    Raises UnsupportedError if the engine does not run the model, BitwrightError if it is too large to be run while a
    reader waits.
    """

    def __init__(self, file: GGUF, threads: int | None = None) -> None:
        self.file, self.threads = file, threads
        self.turn = threading.Lock()  # held by those who run them for long, so that one at a time has the cores
        self._lock = threading.Lock()
        self._held: OrderedDict[str | None, tuple[Engine, Program]] = OrderedDict()

    @cached_property
    def model(self) -> Model:
        """The model as it is."""
        model = Model.from_gguf(self.file)
        weights = sum(math.prod(t.shape) for t in self.file.tensors.values())
        if weights > MOST:
            limit = f"these pages run models of up to {MOST / 1e9:.1f} billion"
            larger = "bitwright eval and compare measure larger ones"
            raise BitwrightError(f"it has {weights / 1e9:.1f} billion weights, and {limit}; {larger}")
        return model

    @cached_property
    def written(self) -> tuple[list[Rollout], list[Reading]]:
        """`parting.written` by the original, for all recipes."""
        return parting.written(self.engine())

    @cached_property
    def planned(self) -> plans.Runs:
        """`plans.run` by the original, for all recipes."""
        return plans.run(self.engine())

    @cached_property
    def recipes(self) -> dict[str, list[Assignment]]:
        """What each recipe does to the file; without those that change nothing, do what another does, or need
        importance."""
        found: dict[str, list[Assignment]] = {}
        tensors = list(self.file.tensors.values())
        for name in RECIPES:
            made = Recipe.named(name).assign(Shape.of(self.file.metadata), tensors)
            changed = [a for a, t in zip(made, tensors, strict=True) if a.format is not t.format]
            possible = all(can_encode(a.format) and a.format.name not in NEEDS_IMPORTANCE for a in changed)
            if changed and possible and made not in found.values():
                found[name] = made
        return found

    def engine(self, recipe: str | None = None) -> Engine:
        """The model by a recipe of `recipes`, or as it is; UnknownNameError for another recipe."""
        if recipe is not None and recipe not in self.recipes:
            raise UnknownNameError("recipe", recipe, list(self.recipes))
        with self._lock:
            if recipe not in self._held:
                model = self.model if recipe is None else self._quantized(recipe)
                engine = Engine(model, RunOptions(context=min(CONTEXT, model.config.context), threads=self.threads))
                self._held[recipe] = engine, engine.program()
            self._held.move_to_end(recipe)
            for oldest in [name for name in self._held if name is not None][:-HELD]:
                del self._held[oldest]
            return self._held[recipe][0]

    def _quantized(self, recipe: str) -> Model:
        quantizer = Quantizer(threads=self.threads)
        tensors = {a.tensor: quantizer.quantize(self.file.tensor(a.tensor), a.format) for a in self.recipes[recipe]}
        return self.model.with_tensors(tensors)
