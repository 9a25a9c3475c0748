"""Text in, text out: a question to a model, in one call."""

from __future__ import annotations

from pathlib import Path

from bitwright.engine.conversation import Answer, Conversation
from bitwright.engine.engine import Engine, load
from bitwright.engine.sampler import Sampler


def ask(
    model: Engine | str | Path,
    text: str,
    max_tokens: int | None = None,
    sampler: Sampler | None = None,
    system: str | None = None,
    raw: bool = False,
) -> str:
    """The model's answer to a question, through its chat template and without its reasoning. model: an engine, or what
    `load` takes.

    sampler: how tokens are drawn; the likeliest if not given. raw: continue `text` as it is, without the template.
    Raises UsageError if the text does not fit the context.
    """
    engine = model if isinstance(model, Engine) else load(model)
    conversation = Conversation(engine, sampler or Sampler(temperature=0), system, raw)
    answer = Answer()
    for _ in conversation.ask(text, max_tokens, answer):
        pass
    return answer.text
