"""The explorer's server: its own files and the documents of one subject, on loopback."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bitwright.errors import BitwrightError, UnknownNameError
from bitwright.explorer.bundle import STATIC
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.guard import Guard
from bitwright.explorer.live import routes as live


def application(documents: Documents, port: int) -> Starlette:
    """The application that answers on `port` of loopback."""

    def document(request: Request) -> Response:  # not async: it may compute for seconds, in a thread of its own
        try:
            return Response(as_text(documents[request.path_params["name"]]), media_type="application/json")
        except UnknownNameError as error:
            return JSONResponse({"error": str(error)}, 404)
        except BitwrightError as error:
            return JSONResponse({"error": str(error)}, 500)

    routes = [
        Route("/data/{name:path}.json", document),
        *live(documents.subject),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, port=port)])


def as_text(document: dict[str, object]) -> str:
    """A document as it is sent and exported."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
