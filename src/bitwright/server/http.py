"""Requests and answers as HTTP: bodies read within limits and checked, events sent with signs of life between them."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bitwright.engine.job import Ending
from bitwright.errors import BitwrightError, UsageError
from bitwright.server.errors import Refused, Shape, busy, invalid
from bitwright.server.parameters import MOST_DEPTH, from_json, is_deep

MOST_BYTES = 32 << 20  # of a request: a long context as JSON
MOST_HELD = 256 << 20  # bytes of all requests that are being read
SLOWEST = 120.0  # seconds that a request may take to arrive
QUIET = 5.0  # seconds without an event after which a sign of life is sent; some clients give up after a minute
LATE = 30.0  # seconds after which an answer in one piece begins with spaces, one each; many proxies wait a minute
COMMENT = ": still working\n\n"  # clients read over it
GONE = 499  # the client went away; nobody reads this

log = logging.getLogger(__name__)
T = TypeVar("T", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]
Handling = Callable[[Any, Request, T], Awaitable[Response]]


def reads(kind: type[T]) -> Callable[[Handling[T]], Callable[[Any, Request], Awaitable[Response]]]:
    """Marks a handler that is given a request's body, as `kind` describes it (openapi.py tells it to clients)."""

    def given(handler: Handling[T]) -> Callable[[Any, Request], Awaitable[Response]]:
        @functools.wraps(handler)
        async def reading(service: Any, request: Request) -> Response:
            return await handler(service, request, await body(request, kind))

        vars(reading)["reads"] = kind
        return reading

    return given


async def body(request: Request, kind: type[T]) -> T:
    """A request's body. Refused if it is too long or slow, no JSON, or not what `kind` says."""
    try:
        async with asyncio.timeout(SLOWEST):
            raw = await received(request)
    except TimeoutError:
        late = f"expected the whole request within {SLOWEST:.0f} seconds"
        raise Refused(408, "timeout_error", late, unread=True) from None
    try:
        found = from_json(raw.decode())
    except (ValueError, RecursionError):
        raise invalid("expected a request as JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise invalid(f"expected a JSON object, got {type(found).__name__}")
    if is_deep(found):
        raise invalid(f"expected a request with values nested at most {MOST_DEPTH} deep")
    return checked(found, kind)


async def received(request: Request) -> bytes:
    """A request's body. Refused if it is too long, or there is too much of others at the same time."""
    parts, length, state = [], 0, request.app.state
    try:
        async for part in request.stream():
            length += len(part)
            state.held += len(part)
            if length > MOST_BYTES:
                message = f"expected a request of at most {MOST_BYTES >> 20} MiB, got more"
                raise Refused(413, "invalid_request_error", message, unread=True)
            if state.held > MOST_HELD:
                raise busy(state.inside, 1, unread=True)
            parts.append(part)
    finally:
        state.held -= length
    return b"".join(parts)


def checked(found: dict[str, Any], kind: type[T]) -> T:
    """What a request says. Refused if it is not what `kind` says."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise invalid(wrong(error)) from None


def wrong(error: ValidationError) -> str:
    """What is wrong with a body: of several things, such as text that should be an array and vice versa, the one that
    lies deepest."""
    found = max(error.errors(include_url=False, include_context=False), key=lambda own: len(own["loc"]))
    where = ".".join(str(own) for own in found["loc"] if "[" not in str(own)) or "the request"
    return f"{where[:80]}: {found['msg']}, got {repr(found['input'])[:80]}"


def endpoint(handler: Handler, shape: Shape) -> Handler:
    """A handler whose errors become answers of that shape."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except Exception as error:
            refused = as_refused(error)
            return JSONResponse(shape(refused), refused.status, refused.headers)

    return answered


def as_refused(error: BaseException) -> Refused:
    """What a client is told of an error. What is no error of ours is raised again."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, UsageError):
        return invalid(str(error))
    if isinstance(error, Ending):
        return Refused(503, "unavailable_error", str(error), retry_after=5)
    if isinstance(error, TimeoutError):
        return Refused(504, "timeout_error", "the answer took longer than this server allows (--timeout)")
    if isinstance(error, BitwrightError):
        return Refused(500, "server_error", str(error))
    raise error


def owner(request: Request, user: str | None) -> str:
    """Whom an answer is for: the machine is shared fairly among those."""
    return f"{request.client.host if request.client else ''}/{user or ''}"


async def unless_gone(request: Request, work: Awaitable[Response]) -> Response:
    """The answer in JSON; nothing if the client goes away first, and the work is then cancelled. What takes longer than
    LATE seconds becomes a Late answer."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    late = False
    try:
        done, _ = await asyncio.wait((task, gone), timeout=LATE, return_when=asyncio.FIRST_COMPLETED)
        late = not done
        return Late(task, gone) if late else task.result() if task.done() else Response(status_code=GONE)
    finally:
        if not late:
            task.cancel()
            gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Late(Response):
    """An answer that takes long: headers and a space at once, a space every LATE seconds, so that no client or proxy
    gives up, and then the JSON. As its status is sent before it is known, an answer that fails breaks off: clients take
    that for a lost connection, and no error for an answer."""

    def __init__(self, task: asyncio.Future[Response], gone: asyncio.Future[None]) -> None:
        super().__init__(media_type="application/json")
        del self.headers["Content-Length"]
        self.task, self.gone = task, gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            while not (self.task.done() or self.gone.done()):
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.wait((self.task, self.gone), timeout=LATE, return_when=asyncio.FIRST_COMPLETED)
            if self.task.done():
                await send({"type": "http.response.body", "body": self.task.result().body})
        except Exception as error:
            log.error("an answer broke off: %s", as_refused(error).message)
        finally:
            self.task.cancel()
            self.gone.cancel()


def events(
    items: AsyncIterator[Any], shape: Shape, named: bool = False, done: str | None = "[DONE]", alive_by: str = COMMENT
) -> Response:
    """Items as server-sent events. `named`: each event has the name that its item has as `type`. An error that comes
    in between is the last event. `alive_by` is sent whenever nothing else was for some seconds."""

    async def sent() -> AsyncIterator[str]:
        try:
            async for item in items:
                yield event(item, named)
        except Exception as error:
            yield event({"type": "error", **shape(as_refused(error))}, named)
        if done is not None:
            yield f"data: {done}\n\n"

    return StreamingResponse(
        alive(sent(), alive_by), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


def event(item: dict[str, Any], named: bool) -> str:
    """One event."""
    name = f"event: {item['type']}\n" if named else ""
    return f"{name}data: {json.dumps(item, ensure_ascii=False, allow_nan=False)}\n\n"


async def alive(texts: AsyncIterator[str], sign: str) -> AsyncIterator[str]:
    """The texts, and a sign of life whenever none has come for QUIET seconds. Closes them when the client goes away."""
    next_one: asyncio.Future[str] | None = None
    try:
        while True:
            next_one = next_one or asyncio.ensure_future(anext(texts))
            done, _ = await asyncio.wait((next_one,), timeout=QUIET)
            if not done:
                yield sign
                continue
            try:
                text = next_one.result()
            except StopAsyncIteration:
                return
            next_one = None
            yield text
    finally:
        if next_one is not None:
            next_one.cancel()
            await asyncio.gather(next_one, return_exceptions=True)
        await texts.aclose()  # type: ignore[attr-defined]
