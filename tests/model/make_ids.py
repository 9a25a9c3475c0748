"""Asks llama.cpp for the ids in tests/data/tokenizers/ids.json: python tests/model/make_ids.py (needs xllamacpp).

One vocabulary of bytes and merges serves every pre-tokenizer: what differs is where each cuts the text.
"""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import synthetic_model  # noqa: E402
from data_files import unpacked  # noqa: E402

from bitwright.io import gguf  # noqa: E402
from bitwright.model.pretokenizers import PRE_TOKENIZERS  # noqa: E402

CASES = "\n__ggml_vocab_test__\n"


def ids(vocabulary: Path, texts: list[str], folder: Path, **changes: str) -> list[list[int]]:
    """llama.cpp's ids of `texts` with the tokenizer of the file `vocabulary`, some of whose keys are changed."""
    import xllamacpp

    tokenizer = {k: v for k, v in gguf.open(vocabulary).metadata.items() if k.startswith("tokenizer.")}
    tokenizer |= {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    metadata = synthetic_model.metadata_of("llama", block_count=1)
    weights = synthetic_model.weights_of(metadata)
    weights["token_embd.weight"] = np.ones((len(tokenizer["tokenizer.ggml.tokens"]), synthetic_model.WIDTH), np.float32)
    path = synthetic_model.write(folder / "model.gguf", metadata | tokenizer, weights)
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.hostnames, parameters.port = str(path), ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel, parameters.warmup, parameters.verbosity = 64, 1, False, -1
    server = xllamacpp.Server(parameters)
    found = []
    for text in texts:
        body = json.dumps({"content": text, "add_special": False, "parse_special": False}).encode()
        request = urllib.request.Request(
            f"{server.listening_address}/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            found.append(json.load(response)["tokens"])
    return found


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = unpacked(folder / "data")
        texts = (data / "tokenizers/ggml-vocab-gpt-2.gguf.inp").read_bytes().decode().split(CASES)
        found = {"baichuan": ids(data / "tokenizers/ggml-vocab-baichuan.gguf", texts, folder)}
        for pre in sorted({kind: pre for pre, kind in reversed(PRE_TOKENIZERS.items())}.values()):  # one of each kind
            found[f"gpt-2/{pre}"] = ids(data / "tokenizers/ggml-vocab-gpt-2.gguf", texts, folder, pre=pre)
    lines = (f"{json.dumps(name)}: {json.dumps(cases, separators=(',', ':'))}" for name, cases in found.items())
    (TESTS / "data/tokenizers/ids.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
