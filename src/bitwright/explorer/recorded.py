"""What a model and its quantized copies say to a few prompts, for pages that cannot ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitwright.errors import BitwrightError
from bitwright.explorer.subject import Subject
from bitwright.views import next_token
from bitwright.views.candidates import candidates
from bitwright.views.removal import removal


def keys(subject: Subject) -> Sequence[str]:
    """ "" for what is to be said of all, and the recipes."""
    return ("",) if unavailable(subject) else ("", *subject.models.recipes)


def unavailable(subject: Subject) -> str:
    """Why the model cannot be run while someone reads; empty if it can."""
    try:
        subject.models.model.tokenizer.encode("")
    except BitwrightError as error:
        return str(error)
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
    reference, candidate = subject.models.engine(), subject.models.engine(recipe)
    prompts = [next_token.next_token(reference, candidate, prompt) for prompt in next_token.EXAMPLES]
    return {"recipe": recipe, "prompts": prompts, "losses": next_token.chunk_losses(candidate)}


def removed(subject: Subject) -> dict[str, Any]:
    """unavailable (why the model cannot be run; the rest is then missing), and the view `removal`."""
    try:
        return {"unavailable": "", **removal(subject.file, subject.models.engine())}
    except BitwrightError as error:
        return {"unavailable": str(error)}
