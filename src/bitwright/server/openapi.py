"""What the server answers, as an OpenAPI document. Requests are described by the models that check them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

import bitwright

ERRORS = {
    400: "The request is wrong in itself, does not fit the context, or asks for what this model cannot do.",
    401: "The API key is missing or wrong.",
    403: "The server does not answer to this name, or to this page.",
    404: "What the request names does not exist.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    429: "Too many requests wait; Retry-After says when to come again.",
    500: "An error of bitwright.",
    501: "This model has no tokens for filling gaps (/infill).",
    503: "The server loads its model, or is shutting down.",
    504: "The answer took longer than the server allows.",
}
TEXT, WHOLE, LIST, OBJECT = "string", "integer", "array", "object"
COMPLETED = {"id": TEXT, "object": TEXT, "created": WHOLE, "model": TEXT, "choices": LIST, "usage": OBJECT}
ANSWERS: dict[str, dict[str, str]] = {  # what every answer has: fields of a JSON object, and their types
    "/v1/chat/completions": COMPLETED,
    "/v1/completions": COMPLETED,
    "/v1/models": {"object": TEXT, "data": LIST},
    "/v1/models/{model}": {"id": TEXT, "object": TEXT, "created": WHOLE, "owned_by": TEXT, "meta": OBJECT},
    "/v1/messages": {"id": TEXT, "type": TEXT, "role": TEXT, "content": LIST, "model": TEXT, "usage": OBJECT},
    "/v1/messages/count_tokens": {"input_tokens": WHOLE},
    "/v1/responses": {"id": TEXT, "object": TEXT, "status": TEXT, "output": LIST, "model": TEXT},
    "/v1/embeddings": {"object": TEXT, "data": LIST, "model": TEXT, "usage": OBJECT},
    "/tokenize": {"tokens": LIST},
    "/detokenize": {"content": TEXT},
    "/apply-template": {"prompt": TEXT},
    "/props": {"default_generation_settings": OBJECT, "total_slots": WHOLE, "chat_template": TEXT},
    "/health": {"status": TEXT},
    "/v1/health": {"status": TEXT},
}  # fmt: skip
EITHER = {"/completion", "/infill"}  # an object, or a list of them if several completions were asked for
LISTS = {"/slots"}
PLAIN = {"/metrics": "text/plain"}


def document(routes: Mapping[tuple[str, str], Callable[..., Any]]) -> dict[str, Any]:
    """The document for handlers by method and path."""
    bodies = {handler: kind for handler in routes.values() if (kind := getattr(handler, "reads", None)) is not None}
    named, definitions = models_json_schema(
        [(kind, "validation") for kind in dict.fromkeys(bodies.values())], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), handler in routes.items():
        own: dict[str, Any] = {"operationId": f"{method.lower()} {path}", "summary": summary(handler)}
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if names:
            own["parameters"] = [{"name": n, "in": "path", "required": True, "schema": {"type": TEXT}} for n in names]
        streams = False
        if (kind := bodies.get(handler)) is not None:
            own["requestBody"] = {"required": True, "content": json(named[kind, "validation"])}
            streams = "stream" in kind.model_fields
        own["responses"] = {
            "200": answer(path, streams),
            **{str(status): error(about) for status, about in ERRORS.items()},
        }
        paths.setdefault(path, {})[method.lower()] = own
    return {
        "openapi": "3.1.0",
        "info": {"title": "bitwright serve", "version": bitwright.__version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def summary(handler: Callable[..., Any]) -> str:
    """What a handler's docstring says after the path."""
    first = (handler.__doc__ or "").strip().splitlines()[0]
    return first.partition(". ")[2] or first


def json(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Content that is JSON."""
    return {"application/json": {"schema": schema}}


def answer(path: str, streams: bool) -> dict[str, Any]:
    """An answer that is no error."""
    if path in PLAIN:
        return {"description": "The answer.", "content": {PLAIN[path]: {"schema": {"type": TEXT}}}}
    fields = ANSWERS.get(path, {})
    schema: dict[str, Any] = {"type": [OBJECT, LIST] if path in EITHER else LIST if path in LISTS else OBJECT}
    if fields:
        schema |= {"required": list(fields), "properties": {name: {"type": kind} for name, kind in fields.items()}}
    content = json(schema)
    if streams:
        content["text/event-stream"] = {}  # OpenAPI 3.1 has no words for what an event is
    return {"description": "The answer.", "content": content}


def error(about: str) -> dict[str, Any]:
    """An answer that is an error."""
    fields = {"message": {"type": TEXT}, "type": {"type": TEXT}}
    inner = {"type": OBJECT, "required": list(fields), "properties": fields}
    return {
        "description": about,
        "content": json({"type": OBJECT, "required": ["error"], "properties": {"error": inner}}),
    }
