"""llama.cpp in this process, through the xllamacpp package's server on the loopback interface."""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Choice:
    """One greedy step: the token taken, and the largest log-probabilities by token."""

    token: int
    log_probabilities: dict[int, float]


class LlamaCpp:
    """A model file loaded by llama.cpp, `texts` of up to `context` tokens at a time.

    It runs on one thread: two wait for each other after every operation, which takes minutes on a busy machine.
    `exact_cache`: keys and values in float32 and plain attention; by default llama.cpp rounds them, the queries and its
    running sums to float16. `embeddings`: it serves the means over texts instead of completions.
    """

    def __init__(
        self, path: Path, texts: int = 1, context: int = 128, exact_cache: bool = False, embeddings: bool = False
    ) -> None:
        xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel = texts * context, texts
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.hostnames, parameters.port = ["127.0.0.1"], 0
        parameters.warmup = parameters.fit_params = False
        parameters.verbosity = 0
        if exact_cache:
            parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
            parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        if embeddings:
            parameters.embedding, parameters.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        self.server = xllamacpp.Server(parameters)

    def greedy(self, prompts: list[list[int]], tokens: int, candidates: int) -> list[list[Choice]]:
        """Continues all prompts together by up to `tokens` greedy tokens, each with `candidates` alternatives."""
        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(lambda ids: self._continue(ids, tokens, candidates), prompts))

    def tokenize(self, text: str) -> list[int]:
        """The ids of a text, with the tokens that belong around it."""
        found: list[int] = self._post({"content": text, "add_special": True, "parse_special": True}, "tokenize")[
            "tokens"
        ]
        return found

    def _continue(self, ids: list[int], tokens: int, candidates: int) -> list[Choice]:
        answer = self._post(
            {
                "prompt": ids,
                "n_predict": tokens,
                "temperature": 0,
                "n_probs": candidates,
                "return_tokens": True,
                "cache_prompt": False,
            }
        )
        return [
            Choice(step["id"], {rival["id"]: rival["logprob"] for rival in step["top_logprobs"]})
            for step in answer.get("completion_probabilities", ())  # none for a token that ends within a character
        ]

    def _post(self, body: dict[str, Any], path: str = "completion") -> dict[str, Any]:
        url = f"{self.server.listening_address}/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=240) as answer:
            return json.load(answer)
