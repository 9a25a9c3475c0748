"""Requests and answers as HTTP: bodies read within limits and checked, events sent with signs of life between them."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from bitwright.errors import BitwrightError, UsageError
from bitwright.server.errors import Refused, Shape, invalid
from bitwright.server.parameters import MOST_DEPTH, is_deep

MOST_BYTES = 32 << 20  # of a request: a long context as JSON
QUIET = 5.0  # seconds without an event after which a sign of life is sent; some clients give up after a minute
COMMENT = ": still working\n\n"  # clients read over it
GONE = 499  # the client went away; nobody reads this

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
    """A request's body. Refused if it is too long, no JSON, or not what `kind` says."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > MOST_BYTES:
            raise Refused(
                413, "invalid_request_error", f"expected a request of at most {MOST_BYTES >> 20} MiB, got more"
            )
        parts.append(part)
    raw = b"".join(parts)
    try:
        found = json.loads(raw.decode())
        if b"\\ud" in raw.lower():  # half of a surrogate pair is no text, and cannot be sent back
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise invalid("expected a request as JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise invalid(f"expected a JSON object, got {type(found).__name__}")
    if is_deep(found):
        raise invalid(f"expected a request with values nested at most {MOST_DEPTH} deep")
    return checked(found, kind)


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
    if isinstance(error, TimeoutError):
        return Refused(504, "timeout_error", "the answer took longer than this server allows (--timeout)")
    if isinstance(error, BitwrightError):
        return Refused(500, "server_error", str(error))
    raise error


def owner(request: Request, user: str | None) -> str:
    """Whom an answer is for: the machine is shared fairly among those."""
    return f"{request.client.host if request.client else ''}/{user or ''}"


async def unless_gone(request: Request, work: Awaitable[Response]) -> Response:
    """The answer, or nothing if the client goes away first: the work is then cancelled."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else Response(status_code=GONE)
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
