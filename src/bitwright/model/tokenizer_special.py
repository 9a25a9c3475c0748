"""Which tokens of a vocabulary are special, and which of them end a reply.

GGUF files name some special tokens by key; others must be recognized by their text. The texts are those llama.cpp looks
for (src/llama-vocab.cpp), so replies end at the same tokens.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import numpy as np

from bitwright.io.values import Values
from bitwright.kernels.strings import Strings

# Values of tokenizer.ggml.token_type.
TYPES = NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

END_OF_TURN = (
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>"),
    *("[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"),
)
END_OF_MESSAGE = ("<|eom_id|>",)
END_OF_GENERATION = (
    *(*END_OF_TURN, *END_OF_MESSAGE),
    *(
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "</s>",
        "[EOS]",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "[e~[",
    ),
)
# Fill in the middle: padding, repository name and file separator also end a reply; prefix, suffix and middle do not.
FILL_ENDS = {
    "fim_pad": ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"),
    "fim_rep": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "fim_sep": ("<|file_sep|>",),
}
FILL_PARTS = (
    *("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>"),
    *("<|prefix|>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>"),
    *("<|code_suffix|>", "<|suffix|>", "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>"),
    *("▁<MID>", "<|code_middle|>", "<|middle|>"),
)
IDS = {"llama": {"bos": 1, "eos": 2, "unknown": 0}, "gpt2": {"bos": 11, "eos": 11}}  # llama.cpp's, by the kind
MOST_ID = (1 << 32) - 1  # of GGUF's ids; files that lack a token give one beyond the vocabulary
HARMONY_CHANNELS = ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")
KNOWN = {*END_OF_GENERATION, *chain.from_iterable(FILL_ENDS.values()), *FILL_PARTS, *HARMONY_CHANNELS}


class SpecialTokens(NamedTuple):
    """Ids by role (None: the vocabulary has none), the ids that end a reply, and the resulting types."""

    bos: int | None
    eos: int | None
    eot: int | None
    eom: int | None
    unknown: int | None
    padding: int | None
    end_of_generation: frozenset[int]
    types: np.ndarray  # int32 (vocabulary,)


def find(values: Values, tokens: Strings, types: np.ndarray, kind: str) -> SpecialTokens:
    """The special ones of `tokens` given the file's token types `types`, int32 (tokens,). kind:
    tokenizer.ggml.model."""
    types = types.copy()
    vocabulary = tokens.numbers(KNOWN)

    def by_key(role: str) -> int | None:
        """The id that the file gives. One outside of the vocabulary stands for the kind's default; without a key only
        SentencePiece has one."""
        key = f"{role}_token_id"
        default = IDS.get(kind, {}).get(role) if kind == "llama" or values.has(key) else None
        id = values.integer(key, len(types), high=MOST_ID)
        id = default if id >= len(types) and default is not None else id
        return id if id < len(types) else None

    def by_text(texts: tuple[str, ...]) -> int | None:
        return next((vocabulary[text] for text in texts if text in vocabulary), None)

    def either(role: str, texts: tuple[str, ...]) -> int | None:
        return found if (found := by_key(role)) is not None else by_text(texts)

    eos, eot, eom = by_key("eos"), either("eot", END_OF_TURN), either("eom", END_OF_MESSAGE)
    fill = [either(role, texts) for role, texts in FILL_ENDS.items()]
    ends = {vocabulary[text] for text in END_OF_GENERATION if text in vocabulary}
    marks = {vocabulary[text] for text in FILL_PARTS if text in vocabulary}
    types[[*ends, *marks, *(id for id in fill if id is not None)]] = CONTROL
    types[[vocabulary[text] for text in HARMONY_CHANNELS if text in vocabulary]] = USER_DEFINED
    ends |= {id for id in (eos, eot, eom, *fill) if id is not None}

    has = {text for text in END_OF_GENERATION if vocabulary.get(text) in ends}
    if "<|end|>" in has and has & {"<|call|>", "<|calls|>"} and has & {"<|return|>", "<|flush|>"}:
        # Harmony and Solar end a message, not the reply, with <|end|>.
        ends.remove(vocabulary["<|end|>"])
        types[vocabulary["<|end|>"]] = USER_DEFINED
    if "</s>" in has and "<|tool_response>" in has:  # Gemma 4, where </s> is an HTML tag
        ends.remove(vocabulary["</s>"])
        types[vocabulary["</s>"]] = NORMAL
    bos, unknown = by_key("bos"), by_key("unknown")
    return SpecialTokens(bos, eos, eot, eom, unknown, by_key("padding"), frozenset(ends), types)
