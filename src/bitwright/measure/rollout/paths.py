"""Texts that a model writes on from prompts, and the same texts read by another model in one pass.

A token is chosen as the largest of logits / temperature + noise, where the noise (Gumbel, drawn from the seed, the
path's number and the step) makes it a sample of the softmax; at temperature 0 there is none. So a choice depends on
logits alone, and whoever reads a path knows what it would have chosen there itself: with the same luck, at any
temperature. Until the first token on which a reader differs, what it reads is what it would have written: the first
divergence of free running is found without running free.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.errors import UsageError
from bitwright.measure.condensed import Condensed, condense, kept_for
from bitwright.measure.perplexity import Progress, scored
from bitwright.measure.softmax import log_probabilities, negative_log_likelihoods, normalizer

if TYPE_CHECKING:
    from bitwright.engine import Model, Session

TOGETHER = 16  # paths written at once: decoding many costs little more than decoding one
KEPT = 1024  # tokens kept of a prediction, at most: 8 kB and a quarter more a step

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Prompt:
    """Token ids to write on from, and the number of the document they are from; prompts of one go wrong together."""

    ids: NDArray[np.int32]
    document: int


@dataclass(frozen=True)
class Chooser:
    """How the next token is chosen: the likeliest at temperature 0, else a draw that `seed`, path and step decide."""

    temperature: float = 0.0
    seed: int = 0

    def __call__(self, logits: Float32, path: int, step: int) -> int:
        """The token that follows logits (vocabulary,)."""
        return int(self.scores(logits, path, step).argmax())

    def scores(self, logits: Float32, path: int, step: int) -> Float32:
        """What the choice is the largest of (vocabulary,)."""
        if not self.temperature:
            return logits
        waits = np.random.default_rng([self.seed, path, step]).standard_exponential(len(logits), np.float32)
        return logits / np.float32(self.temperature) - np.log(np.maximum(waits, np.finfo(np.float32).tiny))

    def lead(self, logits: Float32, token: int, path: int, step: int) -> tuple[float, int]:
        """By how much `token` is ahead of the best other one (below 0: it is not chosen), and that other one."""
        scores = self.scores(logits, path, step).copy()
        own, scores[token] = float(scores[token]), -np.inf
        other = int(scores.argmax())
        return own - float(scores[other]), other


GREEDY = Chooser()


@dataclass(frozen=True)
class Path:
    """What a model wrote: `tokens` (steps,), the one that ended it included where it `ended`.

    `leads` (steps,): how far each was ahead of the next. `losses` (steps,): its negative log-likelihood in nats.
    `predictions`: what the model predicted at each step, where that was kept. `number`: which path, for its noise.
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


@dataclass(frozen=True)
class Reading:
    """A path read by a model: of each step (steps,), the lead it gives the path's token and the best `others`, the
    token's negative log-likelihood, and, where it is known, `divergences`: KL(writer || reader) in nats."""

    path: Path
    leads: Float64 = field(repr=False)
    others: NDArray[np.int32] = field(repr=False)
    losses: Float64 = field(repr=False)
    divergences: Float64 | None = field(default=None, repr=False)

    @property
    def chosen(self) -> NDArray[np.int32]:
        """What the reader would have written at each step (steps,); of equal ones, as ever, the lowest."""
        ahead = (self.leads > 0) | ((self.leads == 0) & (self.path.tokens < self.others))
        return np.where(ahead, self.path.tokens, self.others)

    @property
    def first_divergence(self) -> int | None:
        """The first step, counted from 1, at which the reader would have written something else."""
        differs = self.chosen != self.path.tokens
        return int(differs.argmax()) + 1 if differs.any() else None


def fitted(model: Model, context: int) -> Model:
    """The same model with a context of just so many tokens, since many texts are read side by side.

    UsageError where it was trained on less.
    """
    if context > model.config.context:
        raise UsageError(f"{context} tokens are needed, and {model.path.name} was trained on {model.config.context}")
    same = copy.copy(model)
    same.context = context
    return same


class _Growing:
    """A path that is being written."""

    def __init__(self, number: int, prompt: Prompt) -> None:
        self.number, self.prompt = number, prompt
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

    def path(self, chooser: Chooser, ended: bool) -> Path:
        tokens, leads, losses = np.array(self.tokens, np.int32), np.array(self.leads), np.array(self.losses)
        kept = _joined(self.predictions) if self.predictions else None
        return Path(self.number, self.prompt, chooser, tokens, ended, leads, losses, kept)


def _joined(parts: Sequence[Condensed]) -> Condensed:
    def of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Condensed(of("ids"), of("logits"), of("normalizers"), of("rest"), parts[0].kept)


def write(
    model: Model,
    prompts: Sequence[Prompt],
    steps: int,
    chooser: Chooser = GREEDY,
    keep: bool = False,
    until: Callable[[Sequence[int]], bool] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Let a model write on from every prompt, up to `steps` tokens or until it ends the text; TOGETHER at once.

    `keep` keeps what it predicted at each step (condensed). `until` tells from the tokens so far that it is enough.
    What all prompts begin with is read once for each of those at once. UsageError where a prompt and the steps do not
    fit.
    """
    longest = max(len(prompt.ids) for prompt in prompts)
    if longest + steps - 1 > model.context:
        raise UsageError(f"{longest} tokens and {steps} more do not fit the model's context of {model.context}")
    session = model.session(min(TOGETHER, len(prompts)))
    waiting = [_Growing(number, prompt) for number, prompt in enumerate(prompts)][::-1]
    growing: dict[int, _Growing] = {}
    done: dict[int, Path] = {}
    feed: dict[int, Sequence[int] | NDArray[np.int32]] = {}
    kept, shared = 0, _shared([prompt.ids for prompt in prompts])
    while len(done) < len(prompts):
        for slot in range(len(session.ids)):
            if slot not in growing and waiting:
                growing[slot] = waiting.pop()
                have = min(shared, session.positions[slot])
                session.reset(have, slot)
                feed[slot] = growing[slot].prompt.ids[have:]
        logits = session.advance(feed)
        kept = kept or (min(kept_for(logits), KEPT) if keep else 0)
        written = {slot: growing[slot].add(row, chooser, kept) for slot, row in zip(feed, logits, strict=True)}
        feed = {}
        for slot, token in written.items():
            ended = token in model.tokenizer.end_of_generation
            enough = until is not None and until(growing[slot].tokens)
            if ended or enough or len(growing[slot].tokens) == steps:
                path = growing.pop(slot).path(chooser, ended)
                done[path.number] = path
            else:
                feed[slot] = [token]
        if progress:
            progress(len(done) + sum(len(g.tokens) for g in growing.values()) / steps, len(prompts), "writing")
    return [done[number] for number in range(len(prompts))]


def _shared(prompts: Sequence[NDArray[np.int32]]) -> int:
    """How many tokens all prompts begin with; of the shortest, one is left to be read."""
    most = min(map(len, prompts)) - 1
    alike = np.array([ids[:most] for ids in prompts])
    differs = np.flatnonzero((alike != alike[0]).any(0))
    return int(differs[0]) if len(differs) else most


def predicting(session: Session, path: Path) -> Iterator[tuple[int, Float32]]:
    """The logits that predict a path's tokens, read in one pass: (first step, logits (n, vocabulary)), as many at a
    time as `perplexity.LOGITS_BYTES` holds; the session starts afresh."""
    start = 0
    for logits, _ in scored(session, path.ids, len(path.prompt.ids) - 1):
        yield start, logits
        start += len(logits)


def read(session: Session, path: Path, rounded: bool = False) -> Reading:
    """Read a path in one pass; with divergences where the writer's predictions were kept. `rounded`: as if log
    probabilities were kept in 16 bits."""
    n = len(path)
    leads, losses, others = np.empty(n), np.empty(n), np.empty(n, np.int32)
    divergences = np.empty(n) if path.predictions else None
    for start, logits in predicting(session, path):
        if rounded:
            logits = np.array([log_probabilities(row).astype(np.float16).astype(np.float32) for row in logits])
        for step, row in enumerate(logits, start):
            token = path.tokens[step]
            leads[step], others[step] = path.chooser.lead(row, token, path.number, step)
            peak, log_sum = normalizer(row)
            losses[step] = log_sum - (float(row[token]) - peak)
        if divergences is not None and path.predictions is not None:
            part = slice(start, start + len(logits))
            divergences[part] = path.predictions[part].divergence(logits)[0]
    return Reading(path, leads, others, losses, divergences)


def read_all(
    model: Model, paths: Sequence[Path], progress: Progress | None = None, rounded: bool = False
) -> list[Reading]:
    """Read every path."""
    session, found = model.session(), []
    for path in paths:
        found.append(read(session, path, rounded))
        if progress:
            progress(len(found), len(paths), "")
    return found


def divergence(logits: Float32, others: Float32) -> float:
    """KL(softmax(logits) || softmax(others)) in nats, of two rows (vocabulary,)."""
    log_p, log_q = log_probabilities(logits), log_probabilities(others)
    likely = log_p > -np.inf
    return float(np.exp(log_p[likely]) @ (log_p - log_q)[likely])


def divergences(reference: Session, candidate: Session, path: Path) -> tuple[Float64, Float64]:
    """KL(reference || candidate) in nats at each step (steps,) of a path that either wrote, exactly, and the
    reference's negative log-likelihoods of its tokens (steps,)."""
    found, losses = [], []
    for (start, ours), (_, theirs) in zip(predicting(reference, path), predicting(candidate, path), strict=True):
        found += [divergence(p, q) for p, q in zip(ours, theirs, strict=True)]
        losses.append(negative_log_likelihoods(ours, path.tokens[start : start + len(ours)]))
    return np.array(found), np.concatenate(losses)
