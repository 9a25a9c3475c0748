"""How byte-level BPE vocabularies cut text into words before merging: the patterns behind `tokenizer.ggml.pre`.

A merge never crosses the border between two words, so the ids depend on the patterns as much as on the merges. Each
pattern is the one in the model family's own tokenizer.json, or the same language written out. Names and which family
shares which pattern: llama.cpp's src/llama-vocab.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bitwright.errors import UnsupportedError


class PreTokenizer(NamedTuple):
    """Patterns applied one after another, each isolating its matches; text between two matches is a word too."""

    patterns: tuple[str, ...]
    ignore_merges: bool = False  # a word in the vocabulary is one token
    add_bos: bool = False  # unless tokenizer.ggml.add_bos_token says otherwise


# \p{L} letters, \p{N} numbers, \p{P} punctuation, \p{S} symbols, \p{M} combining marks; \s is any Unicode white space.
_SPACES = r"\s+(?!\S)|\s+"  # the last space of a run belongs to the word after it
_LINES = r"\s*[\r\n]+"
_CONTRACTION = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|{_SPACES}"
_CJK = "[一-龥぀-ゟ゠-ヿ]+"


def _words(
    digits: str,
    contraction: str = _CONTRACTION + "|",
    letters: str = r"[^\r\n\p{L}\p{N}]?\p{L}+",
    other: str = r"[^\s\p{L}\p{N}]+[\r\n]*",
    lines: str = _LINES,
) -> str:
    """The form of tiktoken's cl100k, which most later models follow."""
    return rf"{contraction}{letters}|{digits}| ?{other}|{lines}|{_SPACES}"


def _cased(contraction: str) -> str:
    """o200k's words: a capital starts a new word; combining marks belong to letters."""
    lead, upper, lower = r"[^\r\n\p{L}\p{N}]?", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    return rf"{lead}{upper}*{lower}+{contraction}|{lead}{upper}+{lower}*{contraction}"


def _o200k(digits: str, contraction: str) -> str:
    return _words(digits, "", _cased(contraction), r"[^\s\p{L}\p{N}]+[\r\n/]*")


# The letters that have case, as DeepSeek LLM listed them; more recent scripts with case are missing on purpose.
_DEEPSEEK_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώ"
    "ᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏"
    "𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
_DEEPSEEK_CJK = "[一-龥ࠀ-一가-퟿]+"
_DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_LINES}|{_SPACES}"
)

_QWEN2 = PreTokenizer((_words(r"\p{N}"),))
_LLAMA3 = PreTokenizer((_words(r"\p{N}{1,3}"),), ignore_merges=True, add_bos=True)
_GPT2_WORDS = PreTokenizer((GPT2,))
_SINGLE_DIGITS = PreTokenizer((r"\p{N}", GPT2))
_DEEPSEEK_V3 = PreTokenizer((r"\p{N}{1,3}", _CJK, _DEEPSEEK3))
_GPT4O = PreTokenizer((_o200k(r"\p{N}{1,3}", _CONTRACTION + "?"),))
_BLOOM = PreTokenizer((r" ?[^(\s|.,!?…。，、।۔،)]+",))
_GLM4 = (_words(r"\p{N}{1,3}"),)
_BAILING = PreTokenizer(
    (
        _words(
            r"\p{N}",
            r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|",
            r"[^\r\n\p{L}\p{N}]?\p{L}+",
            r"[^\s\p{L}\p{N}]+[\r\n]*",
            r"\s*[\r\n]",
        ),
    )
)

PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    "default": PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    "falcon": PreTokenizer((r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]")),
    "deepseek-llm": PreTokenizer(
        (
            r"[\r\n]",
            rf"\s?[{_DEEPSEEK_LETTERS}]+",
            r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
            r"\s+$",
            _DEEPSEEK_CJK,
            r"\p{N}+",
        )
    ),
    "deepseek-coder": PreTokenizer((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_CJK, r"\p{N}")),
    "qwen35": PreTokenizer(
        (_words(r"\p{N}", letters=r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+", other=r"[^\s\p{L}\p{M}\p{N}]+[\r\n]*"),)
    ),
    "tekken": PreTokenizer((_o200k(r"\p{N}", ""),), ignore_merges=True, add_bos=True),
    "seed-coder": PreTokenizer((_words(r"\p{N}", other=r"[^\s\p{L}\p{N}\r\n]+"),)),
    "minicpm5": PreTokenizer((r"\p{N}{1,3}", _words(r"\p{N}+")), ignore_merges=True),
    "viking": PreTokenizer((*_BLOOM.patterns, r"\p{N}")),
    **dict.fromkeys(("smaug-bpe", "dbrx"), PreTokenizer(_LLAMA3.patterns)),
    **dict.fromkeys(
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"), _LLAMA3
    ),
    "chatglm-bpe": PreTokenizer(_GLM4),
    **dict.fromkeys(("glm4", "glm5"), PreTokenizer(_GLM4, ignore_merges=True)),
    **dict.fromkeys(
        ("gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "mpt", "olmo", "jais", "trillion", "granite-docling")  # noqa: RUF005
        + ("exaone4",),
        _GPT2_WORDS,
    ),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"), _SINGLE_DIGITS
    ),
    **dict.fromkeys(
        ("qwen2", "deepseek-r1-qwen", "kormo", "stablelm2", "megrez", "hunyuan", "solar-open", "grok-2"), _QWEN2
    ),
    **dict.fromkeys(("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"), _DEEPSEEK_V3),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"), _GPT4O),
    **dict.fromkeys(("bloom", "poro-chat", "gpt3-finnish"), _BLOOM),
    **dict.fromkeys(("bailingmoe", "bailingmoe2", "llada-moe"), _BAILING),
}


# As tokenizer.json files spell them, where that is not as above.
_PUBLISHED_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_OWN = {  # how the file spells it: how it is above
    spelling: pattern
    for words in PRE_TOKENIZERS.values()
    for pattern in words.patterns
    for spelling in (pattern, pattern.replace(_CONTRACTION, _PUBLISHED_CONTRACTION))
} | {
    r" ?[^(\s|[.,!?…。，、।۔،])]+": _BLOOM.patterns[0],
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+": (
        _BAILING.patterns[0]
    ),
    _words(r"\p{N}{1}", _PUBLISHED_CONTRACTION + "|", other=r"[^\s\p{L}\p{N}\r\n]+"): (
        PRE_TOKENIZERS["seed-coder"].patterns[0]
    ),
}
_PUBLISHED = _OWN.keys() | {" ", r"(?:\r?\n)+(?!\r?\n)"}


def published(pattern: object) -> str | None:
    """`pattern` if it is one of a known model's tokenizer.json, with line ends written as escapes; else None."""
    spelled = pattern.replace("\r", r"\r").replace("\n", r"\n") if isinstance(pattern, str) else None
    return spelled if spelled in _PUBLISHED else None


def recognised(patterns: Iterable[str], ignore_merges: bool, usual: str = "") -> str | None:
    """The name of a pre-tokenizer that does what these patterns of a tokenizer.json do, one after another: `usual` if
    it does, else the first."""
    own = tuple(_OWN.get(published(pattern) or "") for pattern in patterns)
    same = [n for n, w in PRE_TOKENIZERS.items() if (w.patterns, w.ignore_merges) == (own, ignore_merges)]
    return usual if usual in same else next(iter(same), None)


def get(name: str) -> PreTokenizer:
    """The pre-tokenizer that `tokenizer.ggml.pre` names; else UnsupportedError, which lists the supported ones."""
    if name not in PRE_TOKENIZERS:
        raise UnsupportedError("pre-tokenizer", repr(name), sorted(PRE_TOKENIZERS))
    return PRE_TOKENIZERS[name]
