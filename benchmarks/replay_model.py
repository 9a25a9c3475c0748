"""Writes a model that answers with texts given beforehand, to prove programs that no small model can please.

    python benchmarks/replay_model.py VOCABULARY.gguf replay.gguf --call CALL.txt --text TEXT.txt

The tokenizer is another file's, with the texts cut into new tokens at its end. After each of those the weights allow
one token, the next: an embedding of random signs, one layer that adds nothing, and an output whose rows are the
embeddings of the tokens before. The chat template offers tools as Hermes models have it, and ends with the token that
begins the call if there are tools and no result yet, else with the one that begins the text. So the answer is computed,
drawn, decoded and parsed as any other.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from bitwright import formats
from bitwright.io import gguf
from bitwright.io.gguf import Typed
from bitwright.model.tokenizer_special import CONTROL, USER_DEFINED

WIDTH, CONTEXT, PIECE = 128, 131_072, 12  # PIECE: least characters of a new token
STARTS = ("<|call|>", "<|text|>")  # what the template ends with
END = "<|im_end|>"
SCALE = 4  # of the output, so that any temperature up to 1 draws the next token
TEMPLATE = """\
{%- if tools %}<|im_start|>system
Call functions within <tool_call></tool_call>. These there are:{% for tool in tools %}
{{ tool | tojson }}{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{{ "<|call|>" if tools and messages[-1].role != "tool" else "<|text|>" }}{% endif %}"""


def write(path: Path, vocabulary: Path, call: str, text: str) -> None:
    """The model that first makes `call`, in a model's own words, and says `text` wherever it cannot call."""
    found = {
        key: own for key, own in gguf.open(vocabulary).metadata.typed().items() if key.startswith("tokenizer.ggml.")
    }
    tokens = [*found["tokenizer.ggml.tokens"].value]
    end, first = tokens.index(END), len(tokens)
    follows: dict[int, int] = {}
    for start, answer in zip(STARTS, (call, text), strict=True):
        parts = np.array_split([*answer], max(1, len(answer) // PIECE)) if answer else []
        pieces = ["".join(part) for part in parts]
        follows |= pairwise([*range(len(tokens), len(tokens) + 1 + len(pieces)), end])
        tokens += [start, *pieces]
    if len(set(tokens)) < len(tokens):
        raise SystemExit("a piece of a text is there twice, or in the vocabulary: word it differently")
    types = [CONTROL if own in STARTS else USER_DEFINED for own in tokens[first:]]
    for name, values in (("tokens", tokens), ("token_type", [*found["tokenizer.ggml.token_type"].value, *types])):
        found[f"tokenizer.ggml.{name}"] = Typed(values, found[f"tokenizer.ggml.{name}"].type)
    numbers = {"block_count": 1, "context_length": CONTEXT, "embedding_length": WIDTH, "feed_forward_length": WIDTH,
               "attention.head_count": 2, "attention.head_count_kv": 1, "vocab_size": len(tokens)}  # fmt: skip
    metadata = {
        "general.architecture": Typed("llama", "string"),
        "general.name": Typed("Replay", "string"),
        **found,
        "tokenizer.chat_template": Typed(TEMPLATE, "string"),
        "llama.attention.layer_norm_rms_epsilon": Typed(1e-5, "float32"),
        **{f"llama.{key}": Typed(value, "uint32") for key, value in numbers.items()},
    }
    f32 = formats.get("f32")
    stored = [(name, own.shape, f32, partial(f32.quantize, own)) for name, own in weights(len(tokens), follows).items()]
    gguf.write(path, metadata, stored)


def weights(count: int, follows: dict[int, int]) -> dict[str, np.ndarray]:
    """float32 weights (rows, columns) of a vocabulary of `count` tokens in which one token follows another."""
    signs = np.random.default_rng(0).choice(np.float32([-1, 1]), (count, WIDTH))
    output = np.zeros((count, WIDTH), np.float32)
    for before, after in follows.items():
        output[after] += SCALE * signs[before]
    keys, nothing = np.zeros((WIDTH // 2, WIDTH), np.float32), np.zeros((WIDTH, WIDTH), np.float32)
    one = np.ones(WIDTH, np.float32)
    layer = {"attn_norm": one, "attn_q": nothing, "attn_k": keys, "attn_v": keys, "attn_output": nothing,
             "ffn_norm": one, "ffn_gate": nothing, "ffn_up": nothing, "ffn_down": nothing}  # fmt: skip
    return {"token_embd.weight": signs, **{f"blk.0.{name}.weight": own for name, own in layer.items()},
            "output_norm.weight": one, "output.weight": output}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", type=Path, help="a GGUF with a byte-level tokenizer that knows <|im_end|>")
    parser.add_argument("output", type=Path)
    parser.add_argument("--call", type=Path, required=True, help="what it writes first if there are tools")
    parser.add_argument("--text", type=Path, required=True, help="what it writes else")
    args = parser.parse_args()
    write(args.output, args.vocabulary, args.call.read_text(), args.text.read_text())


if __name__ == "__main__":
    main()
