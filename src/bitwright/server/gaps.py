"""Prompts that ask for what belongs between two pieces of code (fill in the middle).

Models are trained on one order: what other files hold, the text before the gap, the text after it, and then the middle
(llama.cpp, tools/server/README.md, /infill; Qwen2.5-Coder, arXiv 2409.12186).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bitwright.server.errors import unsupported

if TYPE_CHECKING:
    from bitwright.model.tokenizer import Tokenizer

Encode = Callable[[str], list[int]]

ROLES = {  # of tokens: fields of GGUF metadata, and texts that models use
    "prefix": ("fim_pre", "<|fim_prefix|> <fim-prefix> <fim_prefix> <|code_prefix|> ▁<PRE> [PREFIX]"),
    "suffix": ("fim_suf", "<|fim_suffix|> <fim-suffix> <fim_suffix> <|code_suffix|> ▁<SUF> [SUFFIX]"),
    "middle": ("fim_mid", "<|fim_middle|> <fim-middle> <fim_middle> <|code_middle|> ▁<MID> [MIDDLE]"),
    "separator": ("fim_sep", "<|file_sep|> <|file_separator|> <file_sep>"),
}
ANSWER = 0.25  # share of the context that is left for the answer
AFTER = 0.25  # share of the rest that the text after the gap may take if both are long


@dataclass(frozen=True)
class Gaps:
    """The tokens of a model that mark the parts; None for those it lacks."""

    prefix: int | None
    suffix: int | None
    middle: int | None
    separator: int | None

    @classmethod
    def of(cls, metadata: Mapping[str, Any], tokenizer: Tokenizer) -> Gaps:
        """Those of a model: by its metadata, else by their texts."""
        found = {}
        ids = tokenizer.ids_of(text for _, texts in ROLES.values() for text in texts.split())
        for role, (key, texts) in ROLES.items():
            id = metadata.get(f"tokenizer.ggml.{key}_token_id")
            known = isinstance(id, int) and 0 <= id < tokenizer.vocab_size
            found[role] = id if known else next((ids[text] for text in texts.split() if text in ids), None)
        return cls(**found)

    @property
    def missing(self) -> str:
        """Why the model cannot fill gaps; empty if it can."""
        roles = [role for role in ("prefix", "suffix", "middle") if getattr(self, role) is None]
        return f"this model cannot fill gaps: it has no token for {', '.join(roles)}" if roles else ""

    def prompt(
        self,
        before: str,
        after: str,
        others: Sequence[tuple[str, str]],
        context: int,
        encode: Callable[[str], list[int]],
    ) -> list[int]:
        """The ids of a prompt for what belongs between two texts. `others` are names and texts of other files, the most
        recent last. What does not fit is left out, farthest from the gap first, as editors expect.

        Refused if the model has no tokens for it.
        """
        if self.prefix is None or self.suffix is None or self.middle is None:
            raise unsupported(self.missing)
        head, tail = encode(before), encode(after)
        room = max(int(context * (1 - ANSWER)) - 8, 0)
        tail = tail[: max(int(room * AFTER), room - len(head))]
        head = head[max(len(head) - (room - len(tail)), 0) :]
        files = self._files(others, room - len(head) - len(tail), encode)
        return [*files, self.prefix, *head, self.suffix, *tail, self.middle]

    def _files(self, others: Sequence[tuple[str, str]], room: int, encode: Encode) -> list[int]:
        files: list[int] = []
        for name, text in reversed(others):
            mark = [] if self.separator is None else [self.separator]
            own = [*mark, *encode(f"{name}\n{text}" if mark else f"\n\n--- {name} ---\n{text}")]
            if len(own) + len(files) > room:
                break
            files = [*own, *files]
        return [*files, self.separator] if files and self.separator is not None else files
