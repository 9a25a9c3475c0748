"""A model on chains: teacher forced, reading right answers in one pass, and free running, reading its own answers.

A step is right if the model gives a right answer and then ends the line. Up to its first wrong step the model reads
what it would have written, so that step is the same either way; only free running shows what happens after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.measure import together
from bitwright.measure.chains.chain import Chain
from bitwright.measure.continuation import continued
from bitwright.measure.rollout import writing
from bitwright.measure.softmax import negative_log_likelihoods

if TYPE_CHECKING:
    from bitwright.engine import Engine, Session
    from bitwright.model.tokenizer import Tokenizer
    from bitwright.progress import Progress

SLACK = 4  # tokens a wrong answer may be longer than the right one before it is cut off


@dataclass(frozen=True)
class TeacherForced:
    """A chain read with right answers: whether the model would have been right at each step (steps,), and the negative
    log-likelihood of the right answer in nats."""

    right: NDArray[np.bool_]
    losses: NDArray[np.float64] = field(repr=False)

    @property
    def first_wrong(self) -> int | None:
        """The first wrong step, counted from 1."""
        return None if self.right.all() else int(self.right.argmin()) + 1


@dataclass(frozen=True)
class FreeRun:
    """A chain run free: what the model `said` at each step, and whether that is right given what it said before; None
    if nothing could be right."""

    said: list[str]
    right: list[bool | None]

    @property
    def first_wrong(self) -> int | None:
        """The first wrong step, counted from 1; None if all are right."""
        return self.right.index(False) + 1 if False in self.right else None


def fitted(engine: Engine, prefix: str, chains: Sequence[Chain]) -> Engine:
    """The model with a context that fits these chains and its answers. UsageError if it was trained on less."""
    encode = engine.tokenizer.encode
    lengths = [len(encode(f"{prefix}\n\n{chain.text()}")) + chain.steps * (SLACK + 2) for chain in chains]
    return writing.fitted(engine, max(lengths), "run other chains, such as chains:pointers")


def teacher_force(
    engine: Engine, prefix: str, chains: Sequence[Chain], steps: int | None = None, progress: Progress | None = None
) -> list[TeacherForced]:
    """Read every chain, or its first `steps`, with right answers, in one pass each; the prefix is read once."""
    session, found = fitted(engine, prefix, chains).session(), []
    start = engine.tokenizer.encode(prefix)
    session.extend(start, [])
    for chain in chains:
        session.reset(keep=len(start))
        found.append(_forced(session, chain, steps))
        if progress:
            progress(len(found), len(chains), "")
    return found


def _forced(session: Session, chain: Chain, steps: int | None) -> TeacherForced:
    tokenizer = session.model.tokenizer
    ids, spans, rights = continued(tokenizer, "\n\n" + chain.opening), [], []
    for step, answer in chain.worked(steps):
        ids += continued(tokenizer, f"\n{step.given}")
        own = continued(tokenizer, f" {answer}")
        spans.append((len(ids), len(ids) + len(own)))
        rights.append([continued(tokenizer, f" {other}") for other in step.answers])
        ids += own
    wanted = [at for begin, end in spans for at in range(begin - 1, end)]
    logits = session.extend(ids, wanted)
    right, losses, row = [], [], 0
    for (begin, end), answers in zip(spans, rights, strict=True):
        rows, row = logits[row : row + end - begin + 1], row + end - begin + 1
        chosen = rows.argmax(1).tolist()
        right.append(_says(chosen, ids[begin:end], answers, tokenizer))
        losses.append(negative_log_likelihoods(rows[:-1], np.array(ids[begin:end], np.int32)).sum())
    return TeacherForced(np.array(right), np.array(losses))


def _says(chosen: list[int], read: list[int], answers: list[list[int]], tokenizer: Tokenizer) -> bool:
    """Whether a model that chose these tokens, one after each token read and one at the end, gives a right answer. Of
    an answer other than the one it read, only the first token is known."""
    if chosen[0] != read[0]:
        return any(chosen[0] == answer[0] for answer in answers)
    return chosen[:-1] == read and ends_line(chosen[-1], tokenizer)


def ends_line(token: int, tokenizer: Tokenizer) -> bool:
    """Whether a token ends the line that is being written, or the text."""
    return token in tokenizer.end_of_generation or tokenizer.token_bytes(token).lstrip(b" ").startswith(b"\n")


class _Running:
    """A chain that is being run."""

    def __init__(self, chain: Chain, tokenizer: Tokenizer) -> None:
        self.chain, self.tokenizer = chain, tokenizer
        self.said: list[str] = []
        self.right: list[bool | None] = []
        self.ask("\n\n" + chain.opening)

    def ask(self, before: str = "") -> None:
        """Put the next step; `feed` is what the model reads next."""
        self.step = self.chain.rule(len(self.said), self.said)
        self.feed = continued(self.tokenizer, f"{before}\n{self.step.given}")
        lengths = [len(continued(self.tokenizer, f" {answer}")) for answer in self.step.answers]
        self.room, self.answer = max(lengths, default=1) + SLACK, list[int]()

    def hear(self, token: int) -> None:
        """Take one token. After the last step there is nothing to feed."""
        ended = ends_line(token, self.tokenizer)
        if not ended:
            self.answer.append(token)
            self.feed = [token]
            if len(self.answer) < self.room:
                return
        line = self.tokenizer.decode(self.answer).strip()
        self.right.append(line in self.step.answers if self.step.answers else None)
        self.said.append(line)
        if len(self.said) == self.chain.steps:
            self.feed = []
            return
        unread = [] if ended else self.feed
        self.ask()
        self.feed = unread + self.feed


def run_free(engine: Engine, prefix: str, chains: Sequence[Chain], progress: Progress | None = None) -> list[FreeRun]:
    """Every chain with the model's own answers."""
    tokenizer = engine.tokenizer
    running = [_Running(chain, tokenizer) for chain in chains]
    for texts, logits in together.predictions(fitted(engine, prefix, chains), tokenizer.encode(prefix), running):
        for own, row in zip(texts, logits, strict=True):
            own.hear(int(row.argmax()))
        if progress:
            progress(sum(not own.feed for own in running), len(chains), "")
    return [FreeRun(own.said, own.right) for own in running]
