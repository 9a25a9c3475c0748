"""A file as a search returns it, made by hand: for tests of views and of the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import synthetic_model
from views.test_headline import evaluation

from bitwright import formats
from bitwright.fit.budget import Ask, budget, searched
from bitwright.fit.settings import Fitted, Point
from bitwright.hardware.speed import PredictedSpeed
from bitwright.io import gguf
from bitwright.measure.suite import Identity
from bitwright.model.architectures.outline import Outline, from_gguf
from bitwright.recipes import Recipe, Shape
from bitwright.statistics.interval import Interval

GIVEN = {"size": 200_000}


def small_model(path: Path, **changes: Any) -> Path:
    """A tiny llama in float16 with an output of its own; changes: of its metadata, as `metadata_of` takes them."""
    metadata = synthetic_model.metadata_of("llama", **changes) | {"general.name": "small"}
    return synthetic_model.write(path, metadata, synthetic_model.weights_of(metadata, tied=False), "f16")


def outline_of(path: Path) -> Outline:
    return from_gguf(gguf.open(path))


def gain(mean: float, low: float, high: float) -> Interval:
    return Interval(mean, (low, high), 20, "studentized bootstrap")


def result(model: Path, output: Path, ask: Ask | None = None, **other: Any) -> Fitted:
    """q4_0, but q8_0 for every attn_v and the output; clearly damaged."""
    outline = outline_of(model)
    chosen = {t.name: formats.get("q8_0" if "attn_v" in t.name or t.name == "output.weight" else "q4_0")
              for t in searched(outline)}  # fmt: skip
    assignments = Recipe.exact(chosen).assign(Shape.of(outline.metadata), outline.tensors)
    size = sum(a.bytes for a in assignments)
    measured = replace(evaluation(20, 0.125, 0.08), candidate=Identity(output.name, "0" * 64, size, 4.9))
    given = {"searched": gain(0.072, 0.07, 0.075), "measured": measured, "gain_searched": gain(0.009, 0.007, 0.011),
             "gain_apart": gain(0.008, 0.006, 0.01), "predicted_kl": 0.061,
             "gains": {"mean": gain(0.1, 0.06, 0.14), "tail": gain(0.02, -0.03, 0.07)},
             "speed": PredictedSpeed(41.2, 35.0, 47.0),
             "front": (Point(size, 0.08, 41.2, True), Point(2 * size, 0.01, 30.0))}  # fmt: skip
    return Fitted(**{"source": model, "output": output, "budget": budget(outline, ask or Ask(**GIVEN)), "bytes": size,
                     "assignments": tuple(assignments), "bits_per_weight": 8 * size / outline.parameters,
                     "seconds": 754.0, "peak_memory_bytes": 10**9, "disk_bytes": 5 * 10**8,
                     **given, **other})  # fmt: skip
