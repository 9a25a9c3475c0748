"""What a model and its quantized copies say to a few prompts, for pages that cannot ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitwright.errors import BitwrightError
from bitwright.explorer.models import CONTEXT
from bitwright.explorer.subject import Subject
from bitwright.views import next_token, parting, plans
from bitwright.views.allocation import allocation
from bitwright.views.candidates import candidates
from bitwright.views.removal import removal


def keys(subject: Subject) -> Sequence[str]:
    """ "" for what is to be said of all, and the recipes."""
    return ("",) if unavailable(subject) else ("", *subject.models.recipes)


def recipes(subject: Subject) -> Sequence[str]:
    """The recipes, if the model can be run."""
    return keys(subject)[1:]


def unavailable(subject: Subject) -> str:
    """Why the model cannot be run while someone reads; empty if it can."""
    try:
        model = subject.models.model
        model.tokenizer.encode("")
    except BitwrightError as error:
        return str(error)
    if model.config.context < CONTEXT:
        return f"it was trained on texts of {model.config.context} tokens, and {CONTEXT} are needed"
    return "" if subject.models.recipes else "no recipe makes this file any smaller"


def about(subject: Subject) -> dict[str, Any]:
    """unavailable (why nothing can be shown; the rest is then missing), and the view `candidates`."""
    if why := unavailable(subject):
        return {"unavailable": why}
    return {"unavailable": "", **candidates(subject.file, subject.models.recipes)}


def next_tokens(subject: Subject, recipe: str) -> dict[str, Any]:
    """Of all: `about`, examples (prompts), most_tokens, perplexity (`next_token.chunked`) and losses of the reference.
    Of a recipe: recipe, prompts (`next_token.next_token` of each example), losses (`next_token.chunk_losses`)."""
    if not recipe:
        found = about(subject)
        if found["unavailable"]:
            return found
        reference = subject.models.engine()
        text = next_token.chunked(reference.tokenizer)
        return {**found, "examples": next_token.EXAMPLES, "most_tokens": next_token.MOST_TOKENS, "text": text,
                "losses": next_token.chunk_losses(reference)}  # fmt: skip
    with subject.models.turn:
        reference, candidate = subject.models.engine(), subject.models.engine(recipe)
        prompts = [next_token.next_token(reference, candidate, prompt) for prompt in next_token.EXAMPLES]
        return {"recipe": recipe, "prompts": prompts, "losses": next_token.chunk_losses(candidate)}


def partings(subject: Subject, recipe: str) -> dict[str, Any]:
    """Of all: `about`, examples (prompts), most_tokens (of a prompt), most_steps. Of a recipe: recipe, and prompts
    (`parting.recorded`)."""
    if not recipe:
        limits = {"most_tokens": next_token.MOST_TOKENS, "most_steps": parting.MOST_STEPS}
        return {**about(subject), "examples": parting.EXAMPLES, **limits}
    models = subject.models
    with models.turn:
        return {"recipe": recipe, "prompts": parting.recorded(models.engine(), models.engine(recipe))}


def survivals(subject: Subject, recipe: str) -> dict[str, Any]:
    """recipe, and `parting.survival`."""
    models = subject.models
    with models.turn:
        return {"recipe": recipe, **parting.survival(*models.written, models.engine(recipe))}


def planned(subject: Subject, recipe: str) -> dict[str, Any]:
    """recipe, and families (`plans.plans`)."""
    models = subject.models
    with models.turn:
        return {"recipe": recipe, "families": plans.plans(models.planned, plans.run(models.engine(recipe)))}


def removed(subject: Subject) -> dict[str, Any]:
    """unavailable (why the model cannot be run; the rest is then missing), and the view `removal`."""
    try:
        return {"unavailable": "", **removal(subject.file, subject.models.engine())}
    except BitwrightError as error:
        return {"unavailable": str(error)}


def allocated(subject: Subject) -> dict[str, Any]:
    """unavailable (why nothing is known of the model; the rest is then missing), and the view `allocation`. Raises
    UsageError if the history given is another model's."""
    try:
        return {"unavailable": "", **allocation(subject.file, subject.known)}
    except BitwrightError as error:
        if subject.history is not None:
            raise
        return {"unavailable": str(error)}
