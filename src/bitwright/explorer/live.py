"""What the pages ask while someone types: questions to the model, answered one at a time.

A question is JSON in a POST whose content type says so: a form on another site cannot send one without asking first,
which is refused. Its size is limited, and work ends when the asking page goes away.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bitwright.errors import BitwrightError, UnknownNameError, UsageError
from bitwright.explorer.subject import Subject
from bitwright.views import next_token, parting

MOST_BYTES = 8192  # of a question
GONE = 499  # the asking page went away; nobody reads this


class Refused(Exception):
    """A question that is not answered: an HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def routes(subject: Subject) -> list[Route]:
    """Where questions about the subject's model are asked."""
    turn = asyncio.Lock()  # one question at a time

    async def next_token_(question: dict[str, Any], request: Request) -> Response:
        prompt, recipe = text(question, "prompt"), text(question, "recipe")
        async with turn:
            if await request.is_disconnected():
                return Response(status_code=GONE)
            return JSONResponse(await to_thread.run_sync(answer, subject, prompt, recipe))

    async def compounding(question: dict[str, Any], request: Request) -> Response:
        prompt, recipe, tokens = text(question, "prompt"), text(question, "recipe"), whole(question, "tokens")
        return Events(await to_thread.run_sync(continued, subject, prompt, recipe, tokens), turn)

    handlers = {"next-token": next_token_, "compounding": compounding}
    return [Route(f"/live/{name}", answering(own), methods=["POST"]) for name, own in handlers.items()]


def answer(subject: Subject, prompt: str, recipe: str) -> dict[str, Any]:
    """What the model and a quantized one expect after each token of a prompt."""
    models = subject.models
    return next_token.next_token(models.engine(), models.engine(recipe), prompt)


def continued(subject: Subject, prompt: str, recipe: str, tokens: int) -> Iterator[dict[str, Any]]:
    """What the model and a quantized one write after a prompt, one token at a time."""
    models = subject.models
    return parting.steps(models.engine(), models.engine(recipe), prompt, tokens)


class Events(StreamingResponse):
    """Items of `found` as server-sent events, each computed when the one before was sent, during its `turn`. Nothing is
    computed any more once the asking page is gone."""

    def __init__(self, found: Iterator[dict[str, Any]], turn: asyncio.Lock) -> None:
        self.turn = turn
        super().__init__(self._events(found), media_type="text/event-stream")

    @staticmethod
    async def _events(found: Iterator[dict[str, Any]]) -> AsyncIterator[str]:
        while (item := await to_thread.run_sync(next, found, None)) is not None:
            yield f"data: {json.dumps(item, allow_nan=False)}\n\n"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        async with self.turn:
            await super().__call__(scope, receive, send)


def answering(
    handler: Callable[[dict[str, Any], Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that reads a question and hands it on; what is wrong with it becomes an error as JSON."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(await asked(request), request)
        except Refused as error:
            return JSONResponse({"error": str(error)}, error.status)
        except (UsageError, UnknownNameError) as error:
            return JSONResponse({"error": str(error)}, 400)
        except BitwrightError as error:
            return JSONResponse({"error": str(error)}, 500)

    return endpoint


async def asked(request: Request) -> dict[str, Any]:
    """The question in a request's body. Refused if it is no JSON object, or too long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"expected content of type application/json, got {kind or 'none'}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refused(413, f"expected a question of at most {MOST_BYTES} bytes, got more")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "expected a question as JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, f"expected a JSON object, got {type(found).__name__}")
    return found


def text(question: dict[str, Any], name: str) -> str:
    """A text in a question. Refused if it is missing or no text."""
    if not isinstance(found := question.get(name), str):
        raise Refused(400, f"expected a text for {name!r}, got {found!r:.40}")
    return found


def whole(question: dict[str, Any], name: str) -> int:
    """A whole number in a question. Refused if it is missing or none."""
    if type(found := question.get(name)) is not int:
        raise Refused(400, f"expected a whole number for {name!r}, got {found!r:.40}")
    return found
