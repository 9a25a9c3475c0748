"""Which format a model's replies have, recognized from its chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bitwright.model.replies.deepseek import DeepSeek
from bitwright.model.replies.gemma import Gemma
from bitwright.model.replies.glm import Glm
from bitwright.model.replies.harmony import Harmony
from bitwright.model.replies.hermes import Hermes
from bitwright.model.replies.llama import Llama
from bitwright.model.replies.mistral import Mistral
from bitwright.model.replies.reply import Marks, Reply, schemas
from bitwright.model.replies.tags import DeepSeekTags, MiniMaxTags, SeedTags, Tags

if TYPE_CHECKING:
    from bitwright.model.tokenizer import Tokenizer

# A template has the first whose signs it holds.
FORMATS: tuple[type[Reply], ...] = (
    *(Harmony, Gemma, DeepSeekTags, DeepSeek, Mistral, MiniMaxTags, SeedTags, Tags, Glm, Hermes, Llama),
    Reply,
)
REASONING: tuple[Marks, ...] = (
    *(("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>")),
    ("<|channel>thought", "<channel|>"),
)


@dataclass(frozen=True)
class ReplyFormat:
    """How a model writes reasoning and calls into its replies.

    `kept` are the control tokens whose text the parser needs; the text of others must not be fed to it.
    """

    name: str
    kept: frozenset[str]
    _parser: type[Reply]
    _reasoning: Marks | None

    def reply(self, prompt: str, tools: Sequence[Mapping[str, Any]] = (), single: bool = False) -> Reply:
        """A parser for the reply to the rendered `prompt`, whose end says whether it begins with reasoning. Without
        `tools` (as in a chat request) nothing is a call. A `single` call is the end of the reply."""
        return self._parser(prompt, tools, self._reasoning, single)

    def kept_ids(self, tokenizer: Tokenizer) -> frozenset[int]:
        """The ids of `kept` that a vocabulary has."""
        return frozenset(tokenizer.ids_of(self.kept).values())

    def grammar(
        self, tools: Sequence[Mapping[str, Any]], required: bool, single: bool = False, answer: Any = None
    ) -> str | None:
        """A grammar for `engine.constraint` that allows only calls of `tools`, one or more if it is `required`, else
        also JSON of the schema `answer` instead of them, or without one any text before or instead; no more than a
        `single` call if that is wanted. None if no grammar describes the format."""
        found = self._parser.GRAMMAR
        return None if found is None else found.lark(schemas(tools), required, self._parser.OPENS, single, answer)

    def reasoning_end(self, prompt: str) -> str | None:
        """The mark that ends the reasoning which the rendered `prompt` has opened; None if it has not."""
        opened = self._reasoning is not None and prompt.rstrip().endswith(self._reasoning[0])
        return self._reasoning[1] if self._reasoning is not None and opened else None


def reply_format(template_source: str | None) -> ReplyFormat:
    """The format of the model with that template, recognized by the marks in its Jinja source; plain text if there
    are none."""
    source = template_source or ""
    parser = next(parser for parser in FORMATS if all(sign in source for sign in parser.SIGNS))
    reasoning = next((marks for marks in REASONING if any(mark in source for mark in marks)), None)
    kept = frozenset((*parser.OPENS, *parser.CLOSES, *parser.KEPT, *(reasoning or ())))
    return ReplyFormat(parser.NAME, kept, parser, reasoning)
