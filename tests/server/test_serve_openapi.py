"""The OpenAPI document: complete, and true of what the server answers."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from bitwright.server.app import ROUTES
from bitwright.server.openapi import ANSWERS, EITHER, LISTS, PLAIN

MESSAGE = {"role": "user", "content": "hi"}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [MESSAGE], "max_tokens": 1},
    "/v1/completions": {"prompt": "a", "max_tokens": 1},
    "/v1/responses": {"input": "hi", "max_output_tokens": 16},
    "/v1/messages": {"messages": [MESSAGE], "max_tokens": 1},
    "/v1/messages/count_tokens": {"messages": [MESSAGE]},
    "/v1/embeddings": {"input": "a"},
    "/completion": {"prompt": "a", "n_predict": 1},
    "/tokenize": {"content": "a"},
    "/detokenize": {"tokens": [1]},
    "/apply-template": {"messages": [MESSAGE]},
}
KINDS = {"string": str, "integer": int, "array": list, "object": dict}


@pytest.fixture(scope="module")
def document(web: httpx2.Client) -> dict[str, Any]:
    found: dict[str, Any] = web.get("/openapi.json").json()
    return found


def test_every_address_is_there_with_its_request(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for method, path in ROUTES:
        own = document["paths"][path][method.lower()]
        assert own["summary"].endswith(".") and not own["summary"].startswith(method)
        if method == "POST":
            name = own["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert schemas[name]["type"] == "object"
    assert document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"].keys() == {
        "application/json", "text/event-stream"
    }  # fmt: skip


def test_an_unknown_response_is_described(web: httpx2.Client, document: dict[str, Any]) -> None:
    asked = {"input": "hi", "previous_response_id": "resp_0"}
    for method, path in (("POST", "/v1/responses"), ("GET", "/v1/responses/{id}")):
        status = web.request(method, path.format(id="resp_0"), json=asked if method == "POST" else None).status_code
        assert status == 404 and "404" in document["paths"][path][method.lower()]["responses"]


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = [value["$ref"]] if isinstance(value, dict) and isinstance(value.get("$ref"), str) else []
        return own + [found for item in inner for found in references(item)]

    found = references(document)
    assert found and all(
        ref.removeprefix("#/components/schemas/") in document["components"]["schemas"] for ref in found
    )


def test_answers_are_as_described(web: httpx2.Client) -> None:
    described = {path for _, path in ROUTES if path not in PLAIN and "{" not in path} - EITHER - LISTS
    assert described - {"/tokenizer_info", "/", "/openapi.json"} <= set(ANSWERS)
    for method, path in ROUTES:
        if path not in ANSWERS or (method == "POST" and path not in ASKED):
            continue
        answer = web.request(method, path.format(model="smollm2"), json=ASKED.get(path))
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert all(isinstance(found[name], KINDS[kind]) for name, kind in ANSWERS[path].items()), path
