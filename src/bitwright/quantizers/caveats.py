"""What a user should know about a quantized file: one line for each point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bitwright.calibration import ActivationStatistics
from bitwright.formats.tensor import HasFormat
from bitwright.quantizers.quantizer import PLAIN, Quantizer
from bitwright.quantizers.tensor import evened, takes_importance
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


def other_parts(left_out: Sequence[str]) -> list[str]:
    """What of a checkpoint is no part of its language model and is not written, or nothing."""
    if not left_out:
        return []
    parts = dict.fromkeys(name.removeprefix("model.").partition(".")[0] for name in left_out)
    return [f"only the language model is written, without the {len(left_out)} tensors of {' and '.join(parts)}"]


def quantized_source(changed: Changed, stored_as: str) -> list[str]:
    """A warning for a source that is already quantized, or nothing. stored_as: see `GGUF`."""
    names = sorted({tensor.format.name for tensor, _ in changed if tensor.format.ggml not in PLAIN})
    if stored_as and any(assignment.format.ggml not in PLAIN for _, assignment in changed):
        names.append(stored_as)
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


def not_covered(quantizer: Quantizer, changed: Changed) -> list[str]:
    """A warning for tensors that the statistics do not cover, or nothing. Few cover the embedding and the head."""
    known = quantizer.statistics.squares if quantizer.statistics else {}
    wanted = [t.name for t, a in changed if _weighted(quantizer, t, a) and role(t.name) not in ("output", "token_embd")]
    names = [name for name in wanted if name not in known]
    if not known or not names:
        return []
    return [f"the statistics cover {len(wanted) - len(names)} of {len(wanted)} tensors that are quantized with them; "
            f"without: {_listed(names)}"]  # fmt: skip


def without_importance(quantizer: Quantizer, changed: Changed) -> list[str]:
    """A warning for tensors whose statistics are zero for whole blocks, or nothing."""
    names = []
    for tensor, assignment in changed:
        importance = quantizer.statistics.importance(tensor.name) if quantizer.statistics else None
        if importance is not None and _weighted(quantizer, tensor, assignment):
            names += [tensor.name] if evened(importance, assignment.format) is not importance else []
    if not names:
        return []
    several = f"{len(names)} tensors" if names[1:] else "1 tensor"
    return [f"the statistics of {several} are zero for whole blocks, in which all columns count the same: "
            f"{_listed(names)}"]  # fmt: skip


def unreached(quantizer: Quantizer, changed: Changed) -> list[str]:
    """A warning for experts that no token of the calibration text reached, or nothing."""
    squares = quantizer.statistics.squares if quantizer.statistics else {}
    using = [t.name for t, a in changed if _weighted(quantizer, t, a) or quantizer.method_of(t, a.format) == "feedback"]
    experts = {name: squares[name].unreached for name in using if name in squares and squares[name].unreached}
    if not experts:
        return []
    named = [f"{name} {', '.join(map(str, own))}" for name, own in experts.items()]
    return [f"experts that no token reached are quantized by the mean of the others: {_listed(named, '; ')}"]


def _weighted(quantizer: Quantizer, tensor: HasFormat, assignment: Assignment) -> bool:
    """Whether the codes of a tensor would be chosen by importance."""
    method = quantizer.method_of(tensor, assignment.format)
    return method in ("rtn", "search") and takes_importance(assignment.format, method)


def _listed(names: Sequence[str], between: str = ", ", most: int = 8) -> str:
    return between.join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "")


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
