"""The server: its addresses, and what each is answered by."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bitwright.server import chat, completions, embeddings, http, infill, kept, messages, native, page, responses, state
from bitwright.server.errors import Refused, busy, shape
from bitwright.server.guard import Guard
from bitwright.server.openapi import document
from bitwright.server.service import Service

Handler = Callable[[Service, Request], Awaitable[Response]]
DRAIN = 10.0  # seconds for answers that are being written when the server is told to end
INSIDE = 512  # requests that are being read, or answered in one piece, at the same time
LOADING = 5  # seconds after which to ask again while the model is loaded


async def openapi(service: Service, request: Request) -> Response:
    """GET /openapi.json. This document."""
    return JSONResponse(document(ROUTES))


ROUTES: dict[tuple[str, str], Handler] = {
    ("POST", "/v1/chat/completions"): chat.chat,
    ("POST", "/v1/completions"): completions.completions,
    ("POST", "/v1/embeddings"): embeddings.embeddings,
    ("GET", "/v1/models"): state.models,
    ("GET", "/v1/models/{model}"): state.model,
    ("POST", "/v1/responses"): responses.responses,
    ("GET", "/v1/responses/{id}"): kept.retrieve,
    ("DELETE", "/v1/responses/{id}"): kept.delete,
    ("GET", "/v1/responses/{id}/input_items"): kept.input_items,
    ("POST", "/v1/messages"): messages.messages,
    ("POST", "/v1/messages/count_tokens"): messages.count_tokens,
    ("POST", "/infill"): infill.infill,
    ("POST", "/completion"): native.completion,
    ("POST", "/tokenize"): native.tokenize,
    ("POST", "/detokenize"): native.detokenize,
    ("GET", "/tokenizer_info"): native.tokenizer_info,
    ("POST", "/apply-template"): native.apply_template,
    ("GET", "/props"): state.props,
    ("GET", "/slots"): state.slots,
    ("GET", "/health"): state.health,
    ("GET", "/v1/health"): state.health,
    ("GET", "/metrics"): state.metrics,
    ("GET", "/openapi.json"): openapi,
}
ALIASES = {  # addresses that llama.cpp's server has besides
    ("GET", "/models"): state.models,
    ("POST", "/chat/completions"): chat.chat,
    ("POST", "/completions"): native.completion,
    ("POST", "/embeddings"): embeddings.embeddings,
    ("POST", "/responses"): responses.responses,
}


def application(host: str, key: str | None = None, origins: Sequence[str] = ()) -> Starlette:
    """The application that answers on `host`: for a service once there is one (`begin`), and until then that the model
    is being loaded."""

    @contextlib.asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        yield
        if app.state.service is not None:
            await to_thread.run_sync(app.state.service.worker.close, DRAIN)

    routes: list[BaseRoute] = [
        Route(_pattern(path), http.endpoint(_bound(handler, path), shape(path)), methods=[method])
        for (method, path), handler in (ROUTES | ALIASES).items()
    ]
    routes += page.routes()
    guard = Middleware(Guard, host=host, key=key, origins=origins)
    app = Starlette(routes=routes, middleware=[guard], lifespan=running,
                    exception_handlers={HTTPException: _refused, Exception: _failed})  # fmt: skip
    app.state.service, app.state.inside, app.state.held = None, 0, 0
    return app


def begin(app: Starlette, service: Service) -> None:
    """From now on the application answers for a service."""
    service.worker.start()
    app.state.service = service


def _pattern(path: str) -> str:
    """A path as Starlette has it: names of models may hold slashes."""
    return path.replace("{model}", "{model:path}")


def _bound(handler: Handler, path: str) -> Callable[[Request], Awaitable[Response]]:
    async def bound(request: Request) -> Response:
        own = request.app.state
        if own.service is not None and request.method != "POST":
            return await handler(own.service, request)
        if own.service is not None:
            if own.inside >= INSIDE:
                raise busy(own.inside, own.service.parallel, unread=True)
            own.inside += 1
            try:
                return await handler(own.service, request)
            finally:
                own.inside -= 1
        refused = Refused(503, "unavailable_error", "Loading model", LOADING)  # as llama.cpp's server says it
        status = {"status": "loading model"} if handler is state.health else {}
        return JSONResponse(status | shape(path)(refused), refused.status, refused.headers)

    return bound


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not_found_error", 405: "invalid_request_error"}.get(error.status_code, "server_error")
    refused = Refused(error.status_code, kind, f"{request.method} {request.url.path[:200]}: {error.detail}")
    return JSONResponse(shape(request.url.path)(refused), error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    refused = Refused(500, "server_error", "an error of bitwright; its traceback is in the server's output")
    return JSONResponse(shape(request.url.path)(refused), 500)
