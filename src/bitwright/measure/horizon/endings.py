"""A probe for chat models: how likely the end of a turn, or of a thought, is at its place.

Quantized models are known to run on: where the original ends its turn or closes its thought, they give that less
probability. The original answers short questions; at the place where it ends, the candidate's probability of ending is
compared with its own. Both have read the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bitwright.engine import Engine
from bitwright.measure.horizon import render
from bitwright.measure.horizon.prompts import Item
from bitwright.measure.rollout import reading, writing
from bitwright.measure.rollout.reading import Reading
from bitwright.measure.rollout.writing import Rollout
from bitwright.progress import Progress, Stages
from bitwright.statistics import shares, studentized
from bitwright.statistics.interval import Interval

if TYPE_CHECKING:
    from bitwright.model.tokenizer import Tokenizer

LONGEST = 384  # tokens the original may take to come to an end
TURN, THOUGHT = "turn", "thought"
CLOSING = ("</think>", "[/THINK]", "</seed:think>")  # tokens that end a thought
ASKS = ("In one sentence: {}", "Answer briefly. {}")
QUESTIONS = (
    "Why do leaves change colour?", "What does a lock on a canal do?", "How is bread made to rise?",
    "Why is the sea salty?", "What is a glacier?", "How does a sundial show the time?", "Why do we yawn?",
    "What is an alphabet?", "How do bees find their way home?", "What holds a bridge up?", "Why does ice float?",
    "What does a conductor of an orchestra do?", "How does soap clean?", "What is a fable?", "Why do cats purr?",
    "What makes a rainbow?",
)  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """Mean probabilities of the end of a `what` (turn or thought) where the original has it, of `places` places out of
    `asked` questions: the original's, the candidate's, and the second minus the first. `ends`: the share of places at
    which the candidate would end too."""

    what: str
    asked: int
    places: int
    original: Interval
    candidate: Interval
    difference: Interval
    ends: Interval


def items() -> list[Item]:
    """The questions, each asked in two ways."""
    return [Item("endings", n, (ask.format(question),))
            for n, (question, ask) in enumerate((q, a) for q in QUESTIONS for a in ASKS)]  # fmt: skip


def probe(original: Engine, candidate: Engine, progress: Progress | None = None) -> list[Ending]:
    """The ends of turns and of thoughts. Empty for a model without a chat template, which knows no turns."""
    stages = Stages(progress, 2)
    texts = answers(original, stages.next("the original answers"))
    return judged(texts, candidate, stages.next("reading its answers"))


def answers(original: Engine, progress: Progress | None = None) -> list[Rollout]:
    """What the original answers, up to the end of its turn or of its thought; none without a chat template."""
    if original.chat_template is None:
        return []
    prompts, closing = render.render(original.model, items()), closing_tokens(original.tokenizer)
    original = writing.fitted(original, max(len(prompt.ids) for prompt in prompts) + LONGEST)
    return writing.write(original, prompts, LONGEST, until=lambda tokens: tokens[-1] in closing, progress=progress)


def judged(texts: Sequence[Rollout], candidate: Engine, progress: Progress | None = None) -> list[Ending]:
    """A candidate's probabilities of the ends of the original's answers."""
    closing = closing_tokens(candidate.tokenizer)
    ended = {TURN: [t for t in texts if t.ended], THOUGHT: [t for t in texts if t.tokens[-1] in closing]}
    found = []
    for what, rollouts in ended.items():
        if rollouts:
            fitted = writing.fitted(candidate, max(len(rollout.ids) for rollout in rollouts))
            found.append(compare(what, len(texts), rollouts, reading.read_all(fitted, rollouts, progress)))
    return found


def closing_tokens(tokenizer: Tokenizer) -> set[int]:
    """The ids of the tokens that end a thought."""
    found = (tokenizer.encode(text, add_special_tokens=False, parse_special=True) for text in CLOSING)
    return {ids[0] for ids in found if len(ids) == 1}


def compare(what: str, asked: int, rollouts: Sequence[Rollout], readings: Sequence[Reading]) -> Ending:
    """Probabilities of the last token of each text, by its writer and by a reader."""
    ours, theirs = (np.exp([-float(text.losses[-1]) for text in texts]) for texts in (rollouts, readings))
    own = np.arange(len(ours))
    same = sum(int(r.chosen[-1] == r.rollout.tokens[-1]) for r in readings)
    original, candidate, difference = (studentized.mean(v, own, "answers") for v in (ours, theirs, theirs - ours))
    return Ending(what, asked, len(ours), original, candidate, difference, shares.share(same, len(ours), "answers"))
