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

from bitwright.server import chat, completions, embeddings, http, infill, kept, messages, native, page, responses
from bitwright.server.errors import Refused, busy, shape
from bitwright.server.guard import Guard
from bitwright.server.openapi import document
from bitwright.server.service import Service

Handler = Callable[[Service, Request], Awaitable[Response]]
DRAIN = 10.0  # seconds for answers that are being written when the server is told to end
INSIDE = 512  # requests that are being read, or answered in one piece, at the same time
LOADING = 5  # seconds after which to ask again while the model is loaded


async def models(service: Service, request: Request) -> Response:
    """GET /v1/models. Lists the model."""
    config, model = service.engine.config, service.engine.model
    meta = {"n_vocab": service.tokenizer.vocab_size, "n_ctx": service.context, "n_ctx_train": config.context,
            "n_embd": config.width, "size": model.file_bytes}  # fmt: skip
    own = {"id": service.name, "object": "model", "created": service.created, "owned_by": "bitwright", "meta": meta}
    return JSONResponse({"object": "list", "data": [own]})


async def openapi(service: Service, request: Request) -> Response:
    """GET /openapi.json. This document."""
    return JSONResponse(document(ROUTES))


ROUTES: dict[tuple[str, str], Handler] = {
    ("POST", "/v1/chat/completions"): chat.chat,
    ("POST", "/v1/completions"): completions.completions,
    ("POST", "/v1/embeddings"): embeddings.embeddings,
    ("GET", "/v1/models"): models,
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
    ("GET", "/props"): native.props,
    ("GET", "/health"): native.health,
    ("GET", "/v1/health"): native.health,
    ("GET", "/metrics"): native.metrics,
    ("GET", "/openapi.json"): openapi,
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
        Route(path, http.endpoint(_bound(handler, path), shape(path)), methods=[method])
        for (method, path), handler in ROUTES.items()
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


def _bound(handler: Handler, path: str) -> Callable[[Request], Awaitable[Response]]:
    async def bound(request: Request) -> Response:
        state = request.app.state
        if state.service is not None and request.method != "POST":
            return await handler(state.service, request)
        if state.service is not None:
            if state.inside >= INSIDE:
                raise busy(state.inside, state.service.parallel, unread=True)
            state.inside += 1
            try:
                return await handler(state.service, request)
            finally:
                state.inside -= 1
        refused = Refused(503, "unavailable_error", "Loading model", LOADING)  # as llama.cpp's server says it
        state = {"status": "loading model"} if handler is native.health else {}
        return JSONResponse(state | shape(path)(refused), refused.status, refused.headers)

    return bound


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not_found_error", 405: "invalid_request_error"}.get(error.status_code, "server_error")
    refused = Refused(error.status_code, kind, f"{request.method} {request.url.path[:200]}: {error.detail}")
    return JSONResponse(shape(request.url.path)(refused), error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    refused = Refused(500, "server_error", "an error of bitwright; its traceback is in the server's output")
    return JSONResponse(shape(request.url.path)(refused), 500)
