"""What a user should know about a quantized file: one line for each point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bitwright.calibration import ActivationStatistics
from bitwright.formats.tensor import HasFormat
from bitwright.quantizers.quantizer import PLAIN, Quantizer
from bitwright.recipes import Assignment, Pattern, Recipe
from bitwright.recipes.recipe import NEEDS_IMPORTANCE
from bitwright.recipes.roles import role

Changed = Sequence[tuple[HasFormat, Assignment]]  # tensors that get another format


def unmatched(patterns: Sequence[Pattern]) -> list[str]:
    """A warning for recipe patterns that match no tensor, or nothing."""
    if not patterns:
        return []
    several = f"{len(patterns)} patterns of the recipe match" if patterns[1:] else "1 pattern of the recipe matches"
    return [f"{several} no tensor that is quantized: {patterns[0].regex}{', ...' if patterns[1:] else ''}"]


def quantized_source(changed: Changed) -> list[str]:
    """A warning for a source that is already quantized, or nothing."""
    names = sorted({tensor.format.name for tensor, _ in changed if tensor.format.ggml not in PLAIN})
    if not names:
        return []
    return [f"the source is already quantized ({', '.join(names)}): errors add up, so prefer a float source"]


def missing_importance(
    recipe: Recipe, assignments: Iterable[Assignment], statistics: ActivationStatistics | None
) -> list[str]:
    """A warning if llama.cpp would demand importance data: for the smallest formats, and files of all Q2_K."""
    needing = NEEDS_IMPORTANCE | ({"q2_k"} if recipe.file_type == "q2_k_s" else set())
    known = statistics.squares if statistics else {}
    without = (a for a in assignments if a.tensor not in known)
    count = sum(a.format.name in needing and role(a.tensor) not in ("output", "token_embd") for a in without)
    if not count:
        return []
    several = f"{count} tensors have" if count > 1 else "1 tensor has"
    return [f"{several} so few bits that much is lost without importance data (bitwright calibrate MODEL)"]


def without_feedback(quantizer: Quantizer, changed: Changed) -> list[str]:
    """A warning for tensors that method feedback cannot quantize although it was requested."""
    without = [
        t.name for t, a in changed if quantizer.method == "feedback" and quantizer.method_of(t, a.format) != "feedback"
    ]
    if not without:
        return []
    several = f"{len(without)} tensors" if without[1:] else "1 tensor"
    why = "second moments are missing, or the format does not support feedback"
    return [f"method search was used for {several}, because {why}: {without[0]}{', ...' if without[1:] else ''}"]
