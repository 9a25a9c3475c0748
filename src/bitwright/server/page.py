"""The chat page at /: files of the explorer's bundle, under the explorer's rules for what a page may do."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bitwright.explorer.bundle import STATIC
from bitwright.explorer.guard import HEADERS
from bitwright.server.guard import PAGE


class Files(StaticFiles):
    """What the page is made of, with the headers that tell the browser what it may do."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """One file."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


async def page(request: Request) -> Response:
    """GET /."""
    return FileResponse(STATIC / "chat.html", headers=HEADERS)


def routes() -> list[BaseRoute]:
    """The page, and its files."""
    return [Route("/", page), Mount(PAGE, Files(directory=STATIC))]
