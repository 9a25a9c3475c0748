"""Multiple choice by likelihood: which of several texts a model finds likeliest, without letting it write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bitwright.errors import UsageError
from bitwright.measure.continuation import continued, likelihood
from bitwright.measure.tasks.items import Item, Task, asked, joined

if TYPE_CHECKING:
    from bitwright.engine import Engine, Session
    from bitwright.progress import Progress


@dataclass(frozen=True)
class Judged:
    """One item: whether the right choice won, by log-likelihood per byte of text (`right`, lm-eval's acc_norm) and by
    log-likelihood alone (`right_unnormed`, its acc); the log-likelihoods in nats."""

    right: bool
    right_unnormed: bool
    log_likelihoods: list[float] = field(repr=False)


def shown(item: Item) -> str:
    """An item with its answer, as an example."""
    if "choices" in item:
        return "".join(joined(asked(item["query"]), item["choices"][item["gold"]]))
    if "context_options" in item:
        return "".join(joined(item["context_options"][item["gold"]], item["continuation"]))
    return "".join(joined(item["context"], item["continuation"]))


def judge(engine: Engine, task: Task, progress: Progress | None = None) -> list[Judged]:
    """Every item of a task of form choice, schema or last. UsageError if one does not fit the context."""
    session, found = engine.session(), []
    prefix = "".join(shown(item) + "\n\n" for item in task.shots)
    judge_item = {"choice": _choice, "schema": _schema, "last": _last}[task.form]
    for item in task.items:
        found.append(judge_item(session, prefix, item))
        if progress:
            right = 100 * sum(judged.right for judged in found) / len(found)
            progress(len(found), len(task.items), f"{task.name}: {right:.1f}% right")
    return found


def _choice(session: Session, prefix: str, item: Item) -> Judged:
    pairs = [joined(asked(item["query"]), choice) for choice in item["choices"]]
    likelihoods = [_likelihood(session, prefix + context, own)[0] for context, own in pairs]
    return _judged(likelihoods, [len(own.encode()) for _, own in pairs], item["gold"])


def _schema(session: Session, prefix: str, item: Item) -> Judged:
    """The continuation is the same for all contexts, so its length does not matter."""
    pairs = [joined(context, item["continuation"]) for context in item["context_options"]]
    likelihoods = [_likelihood(session, prefix + context, own)[0] for context, own in pairs]
    return _judged(likelihoods, [1] * len(likelihoods), item["gold"])


def _last(session: Session, prefix: str, item: Item) -> Judged:
    context, own = joined(item["context"], item["continuation"])
    own_likelihood, likeliest = _likelihood(session, prefix + context, own)
    return Judged(likeliest, likeliest, [own_likelihood])


def _judged(likelihoods: Sequence[float], sizes: Sequence[int], gold: int) -> Judged:
    normed = [likelihood / size for likelihood, size in zip(likelihoods, sizes, strict=True)]
    return Judged(int(np.argmax(normed)) == gold, int(np.argmax(likelihoods)) == gold, list(likelihoods))


def _likelihood(session: Session, context: str, own: str) -> tuple[float, bool]:
    """`likelihood` of two texts. UsageError if they do not fit the context."""
    tokenizer = session.model.tokenizer
    before, tokens = tokenizer.encode(context), continued(tokenizer, own)
    if len(before) + len(tokens) > session.context:
        longer = "raise -c" if session.context < session.model.config.context else "take a model with a longer one"
        raise UsageError(f"an item has {len(before) + len(tokens)} tokens, more than the context of {session.context}: "
                         f"show fewer examples (-s) or {longer}")  # fmt: skip
    return likelihood(session, before, tokens)
