"""The horizon suite in llama.cpp: how long a file stays with its original. Needs the package xllamacpp, not bitwright.

    python -m bitwright.measure.horizon.prompts > horizon-1.jsonl
    python horizon_llama_cpp.py horizon-1.jsonl original.gguf small.gguf

docs/horizon.md specifies what is measured. The original writes 32 greedy tokens after each prompt, then the candidate
does. The candidate is not forced along the original's text, so this finds where texts part, and no KL divergence.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

STEPS = 32
NAMES = {"user": "User", "assistant": "Assistant"}


class Model:
    """A GGUF file in llama.cpp's server: one text at a time, no draft model, nothing kept from earlier prompts."""

    def __init__(self, path: Path, context: int, threads: int, exact: bool) -> None:
        import xllamacpp

        p = xllamacpp.CommonParams()
        p.model.path, p.n_ctx, p.n_parallel = str(path), context, 1
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
        p.hostnames, p.port = ["127.0.0.1"], 0
        p.warmup, p.verbosity = False, 0
        p.fit_params = False
        if exact:  # keys and values in float32 and plain attention, which is what float files deserve
            p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
            p.cache_type_k = p.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        self.server = xllamacpp.Server(p)

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """The server's answer."""
        url, data = f"{self.server.listening_address}{path}", json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=3600) as answer:
            return json.load(answer)

    def tokens(self, messages: Sequence[dict[str, str]], plain: bool) -> list[int]:
        """A prompt in the model's tokens, after its token for the beginning of a text if it uses one."""
        if plain:
            said = "".join(f"{NAMES[m['role']]}: {m['content']}\n\n" for m in messages)
            text = f"{said}{NAMES['assistant']}:"
        else:
            text = self.ask("/apply-template", messages=messages)["prompt"]
        ids = self.ask("/tokenize", content=text, add_special=False, parse_special=not plain)["tokens"]
        start = self.ask("/tokenize", content="", add_special=True)["tokens"][:1]
        return ids if ids[:1] == start else start + ids

    def write(self, ids: list[int], steps: int) -> tuple[list[int], list[float]]:
        """Greedy tokens, and how far each was ahead of the second best in nats. The server stops at an end of text,
        which is a token like any other here: it is asked to go on after it. Its option `ignore_eos` would not do, since
        it keeps the model from choosing that token."""
        written: list[int] = []
        leads: list[float] = []
        while len(written) < steps:
            body = {"prompt": ids + written, "n_predict": steps - len(written), "temperature": 0, "n_probs": 2}
            for step in self.ask("/completion", **body, cache_prompt=False)["completion_probabilities"]:
                first, second = (choice["logprob"] for choice in step["top_logprobs"])
                written.append(step["id"])
                leads.append(first - second)
        return written, leads


def aligned(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Tokens before the first that differs."""
    return next((n for n, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]), len(ours))


def sha256_of(prompts: Iterable[Sequence[int]]) -> str:
    """SHA-256 of all prompts' ids: int32, little-endian, each prompt after its length. bitwright reports the same."""
    return hashlib.sha256(b"".join(struct.pack(f"<{len(p) + 1}i", len(p), *p) for p in prompts)).hexdigest()


def line(name: str, lengths: Sequence[int]) -> str:
    """The figures of some prompts."""
    parted = [n + 1 for n in lengths if n < STEPS]
    same, mean = len(lengths) - len(parted), sum(lengths) / len(lengths)
    at = f"{sum(parted) / len(parted):.2f}" if parted else "-"
    share = 100 * same / len(lengths)
    return f"{name:12} {len(lengths):4} prompts  {share:5.1f}% identical  {mean:5.2f} aligned  parted at {at}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("original", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--first", type=int, default=10**9, help="only the first N prompts of each kind")
    parser.add_argument("--plain", action="store_true", help="plain turns, for models without a chat template")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--exact", action="store_true", help="keys, values and attention in float32")
    parser.add_argument("--json", action="store_true", help="print all texts as JSON")
    a = parser.parse_args()
    items = [json.loads(text) for text in a.prompts.read_text(encoding="utf-8").splitlines()]
    items = [item for item in items if item["number"] < a.first]
    original = Model(a.original, a.context, a.threads, a.exact)
    prompts = [original.tokens(item["messages"], a.plain) for item in items]
    texts = [original.write(ids, STEPS) for ids in prompts]
    del original
    candidate = Model(a.candidate, a.context, a.threads, a.exact)
    own = [candidate.write(ids, STEPS)[0] for ids in prompts]
    lengths = [aligned(theirs, ours) for (theirs, _), ours in zip(texts, own, strict=True)]
    if a.json:
        rows = [{"kind": item["kind"], "number": item["number"], "aligned": n, "tokens": tokens, "leads": leads}
                for item, n, (tokens, leads) in zip(items, lengths, texts, strict=True)]  # fmt: skip
        print(json.dumps({"ids_sha256": sha256_of(prompts), "prompts": rows}))
        return
    for kind in dict.fromkeys(item["kind"] for item in items):
        print(line(kind, [n for item, n in zip(items, lengths, strict=True) if item["kind"] == kind]))
    print(line("all", lengths))
    print(f"SHA-256 of the prompts' tokens: {sha256_of(prompts)}")


if __name__ == "__main__":
    main()
