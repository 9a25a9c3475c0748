"""Vocabularies of small checkpoints, in the files that Hugging Face has: byte pairs, characters, SentencePiece."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from bitwright.measure import standard_text
from bitwright.model.pretokenizers import PRE_TOKENIZERS
from bitwright.model.tokenizer import byte_characters

CONTROL, USER, BYTE, UNKNOWN = 3, 4, 6, 2  # types of pieces
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_WORDS = QWEN_WORDS.replace(r"\p{N}|", r"\p{N}{1,3}|")
_END = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT_OSS_WORDS = (  # as in its tokenizer.json
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _END
    + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _END
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)  # fmt: skip
TEXT = 8000  # characters from which vocabularies are learned


@cache
def learned(byte_level: bool) -> list[tuple[str, str]]:
    """Merges of byte pair encoding, the most frequent pair first: of bytes, or of characters."""
    characters = {byte: character for character, byte in byte_characters().items()}
    words = standard_text.read()[:TEXT].split()
    spelled = ("".join(characters[byte] for byte in f" {w}".encode()) if byte_level else f"▁{w}" for w in words)
    split = Counter(tuple(word) for word in spelled)
    merges: list[tuple[str, str]] = []
    for _ in range(60):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in split.items():
            for pair in pairwise(word):
                pairs[pair] += times
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        split = Counter({tuple(_merged(word, merges[-1])): times for word, times in split.items()})
    return merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    for part in word:
        if found and (found[-1], part) == pair:
            found[-1] += part
        else:
            found.append(part)
    return found


def byte_level_json(case: str, folder: Path) -> int:
    """A tokenizer.json; returns the number of rows of the embedding, of which the last few have no token."""
    merges, special = learned(byte_level=True), ["<|pad|>", "<|begin|>", "<|end|>"]
    special += ["<|endoftext|>", "<|user|>"] * case.startswith("glm4")  # which its conversion looks for
    special += ["[gMASK]", "<|observation|>"] * case.startswith("glm4-moe")
    texts = [*special, *byte_characters(), *("".join(pair) for pair in merges), "<tool>"]
    qwen, gpt_oss = case.startswith("qwen"), case.startswith("gpt-oss")
    post: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    if not case.startswith(("qwen", "glm")):
        single = [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        begin = {"<|begin|>": {"id": "<|begin|>", "ids": [1], "tokens": ["<|begin|>"]}}
        pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
        template = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": begin}
        post = {"type": "Sequence", "processors": [post, template]}
    words = (QWEN_WORDS if qwen else GPT_OSS_WORDS if gpt_oss else LLAMA_WORDS,)
    if deepseek := case.startswith("deepseek-v3"):
        words = PRE_TOKENIZERS["deepseek-v3"].patterns
    splits = [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False} for regex in words
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": texts.index(text), "content": text, **plain, "special": text in special} for text in [*special, "<tool>"]
    ]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"} if qwen else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, byte_level]},
        "post_processor": post,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": not (qwen or gpt_oss or deepseek),
                  "vocab": {text: id for id, text in enumerate(texts[:-1])},
                  "merges": [" ".join(pair) for pair in merges]},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    kind = "GPT2Tokenizer" if case.startswith("phi") else "PreTrainedTokenizerFast"
    bos = None if case.startswith("smollm3") else "<|begin|>"  # SmolLM 3's file names none
    config = {"tokenizer_class": kind, "bos_token": bos, "eos_token": "<|end|>",
              "pad_token": "<|pad|>", "chat_template": "{{ bos_token }}{{ messages[0].content }}"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(texts) + 5


def characters_json(case: str, folder: Path) -> int:
    """A tokenizer.json in which merges join characters; returns the number of tokens."""
    text, merges = standard_text.read()[:TEXT], learned(byte_level=False)
    special, visible = ["<pad>", "<bos>", "<eos>", "<unk>", "<mask>", "<|turn>", "<turn|>"], ["<|tool_call>", '<|"|>']
    runs = ["\n" * n for n in range(1, 5)] + ["▁" * n for n in range(2, 4)]
    texts = [*special, *visible, "<unused0>", *(f"<0x{byte:02X}>" for byte in range(256)), *runs]
    merges = [*([run[1:], run[0]] for run in reversed(runs) if len(run) > 1), *merges]
    texts += [own for own in sorted({"▁", *"".join(text.split())}) if own not in texts]
    texts += dict.fromkeys("".join(pair) for pair in merges if "".join(pair) not in texts)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": texts.index(text), "content": text, **plain, "special": True} for text in [*special, *visible]]
    added.append({"id": len(texts), "content": "<tool>", **plain, "special": False})
    single = [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False},
        "post_processor": {"type": "TemplateProcessing", "single": single,
                           "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<bos>": {"id": "<bos>", "ids": [1], "tokens": ["<bos>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {text: id for id, text in enumerate(texts)}, "merges": merges},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    names = dict(zip(("pad", "bos", "eos", "unk", "mask"), special, strict=False))
    config = {"tokenizer_class": "GemmaTokenizer", **{f"{role}_token": text for role, text in names.items()},
              "extra_special_tokens": special[5:]}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text("{{ bos_token }}<|turn>{{ messages[0].content }}")
    return len(texts) + 1


def sentencepiece_model(case: str, folder: Path) -> int:
    gemma = case.startswith("gemma")
    text, merges = standard_text.read()[:TEXT], learned(byte_level=False)
    pieces = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    pieces += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    pieces += [("".join(pair), -1.0 - rank, 1) for rank, pair in enumerate(merges)]
    pieces += [(c, -1000.0 - rank, 1) for rank, c in enumerate(sorted({"▁", *"".join(text.split())}))]
    pieces += [("<table>", 0.0, USER), ("▁▁", -2000.0, 1)]
    (folder / "tokenizer.model").write_bytes(model_bytes(pieces, dummy_prefix=not gemma))
    added = [("<start>", True), ("<|odd|>", False), ("a▁tool", False)]
    added += [("<|endoftext|>", True)] * case.startswith("phi3")  # which llama.cpp expects in a model of that name
    decoder = {str(len(pieces) + n): {"content": text, "special": special} for n, (text, special) in enumerate(added)}
    config = {"tokenizer_class": "GemmaTokenizer" if gemma else "LlamaTokenizer", "bos_token": "<s>",
              "eos_token": {"content": "</s>"}, "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False,
              "added_tokens_decoder": decoder}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text("{{ bos_token }}<start>{{ messages[0].content }}")
    return len(pieces) + 8


def model_bytes(pieces: Iterable[tuple[str, float, int]], dummy_prefix: bool = True, kind: int = 2) -> bytes:
    """A SentencePiece model of these pieces: text, score and type."""
    data = b""
    for text, score, type in pieces:
        piece = field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + (field(3, type) if type != 1 else b"")
        data += field(1, piece)
    trainer = field(3, kind) + field(4, 400) + field(35, 1) + field(40, 0) + field(41, 1) + field(42, 2)
    normalizer = field(1, b"identity") + field(2, b"") + field(3, dummy_prefix) + field(4, 0) + field(5, 1)
    return data + field(2, trainer) + field(3, normalizer)


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(int(value))


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
