"""OpenAI's responses that were kept: shown, forgotten, and what was read for them
(https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitwright.server import http
from bitwright.server.errors import invalid
from bitwright.server.parameters import Body
from bitwright.server.service import Service


async def retrieve(service: Service, request: Request) -> Response:
    """GET /v1/responses/{id}. Returns a response that was kept."""
    return JSONResponse(service.history.get(request.path_params["id"]).response)


async def delete(service: Service, request: Request) -> Response:
    """DELETE /v1/responses/{id}. Forgets a response."""
    id = request.path_params["id"]
    service.history.drop(id)
    return JSONResponse({"id": id, "object": "response", "deleted": True})


class Page(Body):
    """Which items of a list are wanted."""

    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: str | None = None


async def input_items(service: Service, request: Request) -> Response:
    """GET /v1/responses/{id}/input_items. Lists what the model read, besides instructions."""
    page = http.checked(dict(request.query_params), Page)
    found = [item.listed() for item in service.history.get(request.path_params["id"]).read]
    found = found if page.order == "asc" else found[::-1]
    if page.after is not None:
        ids = [item["id"] for item in found]
        if page.after not in ids:
            raise invalid(f"after: there is no item {page.after[:80]!r}")
        found = found[ids.index(page.after) + 1 :]
    shown = found[: page.limit]
    return JSONResponse({
        "object": "list", "data": shown, "has_more": len(found) > len(shown),
        "first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None,
    })  # fmt: skip
