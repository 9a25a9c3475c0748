"""Chat templates: a conversation as the text its model was trained on.

A template is a program from a model file and is not trusted: `chat_sandbox` limits what it can do.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.errors import BitwrightError, UsageError
from bitwright.io.values import Values
from bitwright.kernels.strings import Strings
from bitwright.model.tokenizer_special import MOST_ID

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.model.tokenizer import Tokenizer

KEY = "tokenizer.chat_template"
_MESSAGE = 300  # characters of an error


class ChatTemplate:
    """The templates of one model by name; `default` is the one without a name.

    `source` is the text of the one in use. `special` are the variables that name tokens in templates, such as
    `bos_token`.
    """

    def __init__(self, templates: Mapping[str, str], special: Mapping[str, str], name: str = "default") -> None:
        self.templates, self.special, self.name = dict(templates), dict(special), name
        if name not in self.templates:
            raise UsageError(f"the model has no chat template {name!r}; it has {', '.join(sorted(self.templates))}")

    @classmethod
    def from_gguf(cls, gguf: GGUF, name: str | None = None) -> ChatTemplate | None:
        """The templates of an open file; None if it has none."""
        return cls.from_metadata(gguf.metadata, name)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], name: str | None = None) -> ChatTemplate | None:
        """The templates in GGUF metadata; None if there are none. UsageError if `name` is not among them,
        FileFormatError if a value is of the wrong type."""
        values = Values(metadata)
        templates = {
            key.removeprefix(KEY).lstrip(".") or "default": values.text(key)
            for key in metadata
            if key == KEY or key.startswith(KEY + ".")
        }
        if not templates:
            return None
        key, special = "tokenizer.ggml.tokens", {}
        tokens = values.table(key) if values.has(key) else Strings.of([])
        for variable, role in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
            id = values.integer(f"tokenizer.ggml.{role}_token_id", len(tokens), high=MOST_ID)
            if id < len(tokens):
                special[f"{variable}_token"] = tokens[id]
        return cls(templates, special, name or ("default" if "default" in templates else min(templates)))

    @property
    def source(self) -> str:
        """The Jinja source of the template in use."""
        return self.templates[self.name]

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> str:
        """The prompt for a conversation of `{"role": ..., "content": ...}`, including the opening of the reply.

        With `tools`, a template named `tool_use` is preferred if there is one. Raises BitwrightError, one line, if the
        template refuses the conversation, is broken, or does more work than a prompt needs.
        """
        from bitwright.model import chat_budget

        source = self.templates["tool_use"] if tools and "tool_use" in self.templates else self.source
        known = {
            "messages": messages,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        try:
            return chat_budget.render(_compiled(source), {**self.special, **known, **variables})
        except Exception as error:  # a template can raise anything
            detail = " ".join(f"{error}".split()) or type(error).__name__
            raise BitwrightError(f"the model's chat template failed: {detail[:_MESSAGE]}") from error

    def encode(self, tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], **variables: Any) -> list[int]:
        """The ids of the rendered conversation (`ids`)."""
        return self.ids(tokenizer, self.render(messages, **variables))

    @staticmethod
    def ids(tokenizer: Tokenizer, rendered: str) -> list[int]:
        """The ids of a rendered conversation, with one `bos` even if both template and tokenizer add it.

        Control tokens written in a message's content are treated as control tokens, as in every engine that renders
        first and tokenizes afterwards.
        """
        ids = tokenizer.encode(rendered, add_special_tokens=False, parse_special=True)
        if tokenizer.add_bos and tokenizer.bos is not None and ids[:1] != [tokenizer.bos]:
            ids.insert(0, tokenizer.bos)
        return ids


@functools.lru_cache(maxsize=16)
def _compiled(source: str) -> Any:
    from bitwright.model import chat_sandbox

    return chat_sandbox.Sandbox().from_string(source)
