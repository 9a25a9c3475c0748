"""Rollouts: texts that a model writes from prompts.

A token is the argmax of logits / temperature + noise. The noise is Gumbel, drawn from the seed, the rollout's number
and the step, which makes the token a sample of the softmax (the Gumbel-max trick); at temperature 0 there is no noise.
So a choice depends on logits alone, and another model that reads the rollout (`reading`) can find what it would have
chosen at each step with the same noise, at any temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure import together
from bitwright.measure.condensed import Condensed, condense, kept_for
from bitwright.measure.softmax import log_probabilities
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine

KEPT = 1024  # most tokens kept of one prediction: 10 kB a step

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Prompt:
    """Token ids to continue, and the number of their document: errors of prompts from one document are correlated."""

    ids: NDArray[np.int32]
    document: int


@dataclass(frozen=True)
class Chooser:
    """How the next token is chosen: the likeliest at temperature 0, else a draw fixed by `seed`, rollout and step."""

    temperature: float = 0.0
    seed: int = 0

    def __call__(self, logits: Float32, rollout: int, step: int) -> int:
        """The token chosen from logits (vocabulary,)."""
        return int(self.noisy(logits, rollout, step).argmax())

    def noisy(self, logits: Float32, rollout: int, step: int) -> Float32:
        """Logits over temperature plus noise (vocabulary,): the token chosen is their argmax."""
        if not self.temperature:
            return logits
        waits = np.random.default_rng([self.seed, rollout, step]).standard_exponential(len(logits), np.float32)
        return logits / np.float32(self.temperature) - np.log(np.maximum(waits, np.finfo(np.float32).tiny))

    def lead(self, logits: Float32, token: int, rollout: int, step: int) -> tuple[float, int]:
        """How far `token` is ahead of the best other token (negative: it is not chosen), and that other token."""
        noisy = self.noisy(logits, rollout, step).copy()
        own, noisy[token] = float(noisy[token]), -np.inf
        other = int(noisy.argmax())
        return own - float(noisy[other]), other


GREEDY = Chooser()


@dataclass(frozen=True)
class Rollout:
    """What a model wrote: `tokens` (steps,), including the end token if the text `ended`.

    `leads` (steps,): how far each token was ahead of the second best. `losses` (steps,): negative log-likelihoods in
    nats. `predictions`: the distribution at each step, if kept. `number` seeds the noise.
    """

    number: int
    prompt: Prompt
    chooser: Chooser
    tokens: NDArray[np.int32]
    ended: bool
    leads: Float64 = field(repr=False)
    losses: Float64 = field(repr=False)
    predictions: Condensed | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def ids(self) -> NDArray[np.int32]:
        """Prompt and tokens."""
        return np.concatenate([self.prompt.ids, self.tokens])


def fitted(engine: Engine, context: int, remedy: str = "") -> Engine:
    """The same model with a context of `context` tokens, so that many sequences fit in memory.

    UsageError if it was trained on a shorter one, with a `remedy` besides another model.
    """
    if context > engine.config.context:
        raise UsageError(f"{engine.path.name} was trained on {engine.config.context} tokens, but {context} are needed: "
                         f"{remedy + ', or ' if remedy else ''}take a model with a longer context")  # fmt: skip
    return engine.replace(context=context)


class _Growing:
    """A rollout that is being written."""

    def __init__(self, number: int, prompt: Prompt) -> None:
        self.number, self.prompt, self.ended = number, prompt, False
        self.feed: list[int] = []
        self.tokens: list[int] = []
        self.leads: list[float] = []
        self.losses: list[float] = []
        self.predictions: list[Condensed] = []

    def add(self, logits: Float32, chooser: Chooser, kept: int) -> int:
        """Choose the next token from logits (vocabulary,)."""
        step = len(self.tokens)
        token = chooser(logits, self.number, step)
        self.leads.append(chooser.lead(logits, token, self.number, step)[0])
        self.losses.append(-float(log_probabilities(logits)[token]))
        self.tokens.append(token)
        if kept:
            random = np.random.default_rng([chooser.seed, self.number, step])
            self.predictions.append(condense(logits[None], kept, random))
        return token

    def rollout(self, chooser: Chooser) -> Rollout:
        tokens, leads, losses = np.array(self.tokens, np.int32), np.array(self.leads), np.array(self.losses)
        kept = _joined(self.predictions) if self.predictions else None
        return Rollout(self.number, self.prompt, chooser, tokens, self.ended, leads, losses, kept)


def _joined(parts: Sequence[Condensed]) -> Condensed:
    def of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Condensed(of("ids"), of("logits"), of("normalizers"), of("rest"), parts[0].kept)


def write(
    engine: Engine,
    prompts: Sequence[Prompt],
    steps: int,
    chooser: Chooser = GREEDY,
    keep: bool = False,
    until: Callable[[Sequence[int]], bool] | None = None,
    progress: Progress | None = None,
    numbers: Sequence[int] | None = None,
    ends: bool = True,
) -> list[Rollout]:
    """Continue every prompt for up to `steps` tokens or until the model ends the text.

    `keep` keeps the distribution at each step (condensed). `until`, given the tokens so far, says whether to stop.
    `numbers` are the rollouts' (default: 0, 1, ...). Without `ends`, an end token is one like any other. A prefix that
    all prompts share is read once. UsageError if a prompt and the steps do not fit the context.
    """
    longest = max(len(prompt.ids) for prompt in prompts)
    if longest + steps - 1 > engine.context:
        raise UsageError(f"{longest} tokens and {steps} more do not fit the model's context of {engine.context}")
    growing = list(map(_Growing, range(len(prompts)) if numbers is None else numbers, prompts))
    start, kept = _shared([prompt.ids for prompt in prompts]), 0
    for text in growing:
        text.feed = text.prompt.ids[len(start) :].tolist()
    for texts, logits in together.predictions(engine, start, growing):
        kept = kept or (min(kept_for(logits), KEPT) if keep else 0)
        for text, row in zip(texts, logits, strict=True):
            token = text.add(row, chooser, kept)
            text.ended = ends and token in engine.tokenizer.end_of_generation
            enough = until is not None and until(text.tokens)
            text.feed = [] if text.ended or enough or len(text.tokens) == steps else [token]
        if progress:
            progress(sum(len(g.tokens) / steps if g.feed else 1 for g in growing), len(prompts), "writing")
    return [text.rollout(chooser) for text in growing]


def _shared(prompts: Sequence[NDArray[np.int32]]) -> list[int]:
    """The tokens that all prompts begin with; at least one token of each prompt is left to read."""
    most = min(map(len, prompts)) - 1
    alike = np.array([ids[:most] for ids in prompts])
    differs = np.flatnonzero((alike != alike[0]).any(0))
    same: list[int] = prompts[0][: differs[0] if len(differs) else most].tolist()
    return same
