"""`bitwright fit` at work: one model or several, and what is written beside the file."""

from __future__ import annotations

import json as json_text
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from bitwright.cli import fit_table, measuring, output
from bitwright.errors import BudgetError

if TYPE_CHECKING:
    from bitwright.fit.budget import Ask
    from bitwright.fit.settings import Fitted, Settings
    from bitwright.recipes import Recipe


Wanted = Union["Ask", "tuple[str, Recipe]"]  # a budget, or a recipe and its name


def fitted(sources: list[Path], wanted: Wanted, settings: Settings, out: Path, json: bool) -> Fitted:
    """Fit a model, or several of which the best is kept, and print the result."""
    if len(sources) > 1:
        return several(sources, wanted, settings, out, json)
    result = search(sources[0], wanted, settings, out)
    found = view(result, settings)
    output.print_json(found) if json else fit_table.show(found)
    return result


def search(source: Path, wanted: Wanted, settings: Settings, out: Path) -> Fitted:
    """Fit one model, with progress."""
    from bitwright.fit import reapply, run

    if isinstance(wanted, tuple):
        name, recipe = wanted
        return reapply.reapply(source, recipe, name, settings, out, output.progress, output.remark)
    return run.fit(source, wanted, settings, out, output.progress, output.remark)


def several(sources: list[Path], wanted: Wanted, settings: Settings, out: Path, json: bool) -> Fitted:
    """Fit every model, print which is best, and keep its file. Models that cannot fit are left out; BudgetError if none
    can."""
    from bitwright.fit.models import decide, entrant
    from bitwright.io.atomic import scratch
    from bitwright.views.fitted_models import several as view_of

    each = replace(settings, minutes=settings.minutes / len(sources))
    found: list[Fitted] = []
    refused: list[BudgetError] = []
    with scratch(out.absolute().parent) as folder:
        for number, source in enumerate(sources):
            (folder / str(number)).mkdir()
            try:
                found.append(search(source, wanted, each, folder / str(number) / out.name))
            except BudgetError as error:
                refused.append(error)
                output.remark(str(error))
                continue
            if found[-1].interrupted:
                break
        if not found:
            why = "; ".join(map(str, refused))
            raise BudgetError(f"none of the {len(sources)} models fits: {why}", min(e.nearest for e in refused))
        measured = [f for f in found if f.measured is not None]
        decision = decide([entrant(f) for f in measured]) if measured else None
        best = next((f for f in measured if decision and f.source.name == decision.chosen.name), found[0])
        best.output.replace(out)
    found[found.index(best)] = best = replace(best, output=out, interrupted=found[-1].interrupted)
    if decision is None:
        shown = view(best, settings)
        output.print_json(shown) if json else fit_table.show(shown)
    else:
        shown = view_of([f for f in found if f.measured is not None], decision, [str(e) for e in refused])
        output.print_json(shown) if json else fit_table.show_models(shown)
    return best


def view(f: Fitted, settings: Settings) -> dict[str, Any]:
    """The view `fitted`, with how the final measurement was made."""
    from bitwright.measure import overlap, standard_text
    from bitwright.views.fit import fitted as view_of

    text = settings.held_out[1] if settings.held_out else standard_text.read()
    return view_of(f, measuring.about_run("quick", overlap.sha256_of(text), settings.threads, "f16", f.seconds))


def keep(f: Fitted, recipe: Path | None, types: Path | None, history: Path | None) -> None:
    """Write the recipe in bitwright's form and in llama.cpp's, and the history."""
    from bitwright import recipes
    from bitwright.fit.budget import searched
    from bitwright.io.atomic import replacing
    from bitwright.recipes import Recipe
    from bitwright.recipes.recipe import NEEDS_IMPORTANCE, NEVER_WITHOUT

    chosen = {t.name for t in searched(f.budget.outline)}
    exact = Recipe.exact({a.tensor: a.format for a in f.assignments if a.tensor in chosen})
    if recipe is not None:
        recipes.save(recipe, exact)
    if types is not None:
        recipes.write_tensor_types(types, exact.patterns)
        own = {p.name: p.format.name for p in exact.patterns}
        needed = "--imatrix IMATRIX " if NEEDS_IMPORTANCE & set(own.values()) else ""
        if "output.weight" in own and own.get("token_embd.weight") in NEVER_WITHOUT:
            output.remark(f"llama-quantize cannot follow {types}: it demands importance for an embedding in "
                          f"{own['token_embd.weight']}, and nothing measures that")  # fmt: skip
        else:
            output.remark(
                f"for llama.cpp: llama-quantize {needed}--tensor-type-file {types} {f.source.name} OUT.gguf Q8_0"
            )
    if history is not None:
        with replacing(history) as file:
            file.write(json_text.dumps(f.history, allow_nan=False).encode())
