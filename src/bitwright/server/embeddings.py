"""OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitwright.server import http
from bitwright.server.errors import invalid
from bitwright.server.parameters import Body
from bitwright.server.prompts import Texts, encoded
from bitwright.server.service import Service

MOST_TEXTS = 2048


class Asked(Body):
    """Texts to turn into vectors: one or several, as text or as ids."""

    input: Texts
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


@http.reads(Asked)
async def embeddings(service: Service, request: Request, asked: Asked) -> Response:
    """POST /v1/embeddings. Turns texts into vectors (OpenAI)."""
    width = service.engine.config.width
    if asked.dimensions not in (None, width):
        raise invalid(f"dimensions: this model's vectors have {width}, and cannot be cut to {asked.dimensions}")
    texts = await encoded(service, asked.input, "input")
    if len(texts) > MOST_TEXTS:
        raise invalid(f"input: expected at most {MOST_TEXTS} texts, got {len(texts)}")
    return await http.unless_gone(request, whole(service, texts, asked.encoding_format == "base64"))


async def whole(service: Service, texts: list[list[int]], as_base64: bool) -> Response:
    """The vectors: numbers, or float32 (little-endian) in base64."""
    data = []
    for index, vector in enumerate(await service.embeddings(texts)):
        own: Any = base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": own})
    read = sum(map(len, texts))
    counted = {"prompt_tokens": read, "total_tokens": read}
    return JSONResponse({"object": "list", "data": data, "model": service.name, "usage": counted})
