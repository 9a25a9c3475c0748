"""Embeddings, driven by OpenAI's own client, and compared with llama.cpp's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from llama_cpp import LlamaCpp

from bitwright.engine.embedding import Embedder
from bitwright.server.service import Service

TEXTS = [
    "The capital of France is Paris.",
    "def add(a, b):\n    return a + b",
    "Ein schöner Tag, um spazieren zu gehen.",
]


def vectors(client: Any, input: Any, **asked: Any) -> np.ndarray:
    found = client.embeddings.create(model="smollm2", input=input, **asked)
    assert [own.index for own in found.data] == list(range(len(found.data)))
    return np.array([own.embedding for own in found.data], np.float32)


def test_texts_ids_and_encodings_give_the_same_vectors(openai: Any, service: Service) -> None:
    several = vectors(openai, TEXTS)  # the client asks for base64 by itself
    assert several.shape == (3, service.engine.config.width)
    np.testing.assert_allclose(np.linalg.norm(several, axis=1), 1, rtol=1e-6)
    ids = [service.tokenizer.encode(text) for text in TEXTS]
    for same in (
        vectors(openai, TEXTS, encoding_format="float"),
        vectors(openai, ids),
        np.concatenate([vectors(openai, own, dimensions=service.engine.config.width) for own in (TEXTS[0], *ids[1:])]),
    ):
        assert np.array_equal(same, several)
    counted = service.counted.copy()
    usage = openai.embeddings.create(model="", input=TEXTS).usage
    assert usage.prompt_tokens == usage.total_tokens == sum(map(len, ids))
    new = service.counted - counted
    assert new == {"requests": 1, "embeddings": len(TEXTS), "prompt": usage.prompt_tokens}


def test_vectors_that_take_too_long_are_given_up(
    web: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "timeout", -1.0)
    answer = web.post("/v1/embeddings", json={"input": TEXTS})
    assert answer.status_code == 504 and answer.json()["error"]["type"] == "timeout_error"
    assert "llamacpp:embeddings_total" in web.get("/metrics").text


def test_vectors_are_llama_cpps(smollm2: Path, openai: Any, service: Service) -> None:
    """With its rounding of activations, what differs is the order of sums and the rounding of its cache: less than the
    rounding of activations changes, by which our own rounding differs from its."""
    server = LlamaCpp(smollm2, context=128, embeddings=True).server
    asked = {"input": TEXTS, "model": ""}
    answer = httpx2.post(f"{server.listening_address}/v1/embeddings", json=asked, timeout=240).json()
    theirs = np.array([own["embedding"] for own in answer["data"]])
    as_ggml = Embedder(service.engine.replace(activations="ggml"))
    alike, ours = np.array([as_ggml(service.tokenizer.encode(text)) for text in TEXTS]), vectors(openai, TEXTS)
    rounding = np.linalg.norm(alike - ours, axis=1)
    assert (np.linalg.norm(alike - theirs, axis=1) < rounding).all() and (rounding < 0.1).all()
    assert (np.linalg.norm(ours - theirs, axis=1) < 2 * rounding).all()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "empty"),
        ({"input": [[]]}, "empty"),
        ({"input": ["a", ""]}, "empty"),
        ({"input": [-1]}, "token ids"),
        ({"input": [[99999999]]}, "token ids"),
        ({"input": {"a": 1}}, "input"),
        ({"input": "a", "dimensions": 64}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": ["a"] * 2049}, "2048"),
        ({"input": "word " * 1100}, "exceeds the context"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(web: httpx2.Client, body: dict[str, Any], says: str) -> None:
    answer = web.post("/v1/embeddings", json=body)
    assert answer.status_code == 400 and says in answer.json()["error"]["message"]
