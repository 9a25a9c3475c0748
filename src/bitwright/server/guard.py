"""Who may ask: the key, the name under which the server is asked, and the pages that browsers may ask from.

A web page elsewhere could reach a server on this machine through the browser of who works here, by its address or by a
name of its own that it points to 127.0.0.1 (DNS rebinding). So a server on loopback answers only to the names of
loopback, and no server answers a page from elsewhere unless that was allowed.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitwright.server.errors import Refused, shape

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PAGE = "/chat"  # the folder of the chat page's files
OPEN = ("/", "/health", "/v1/health")  # need no key: the chat page, which asks for one, and supervisors
SITES = ("http://", "https://")
APPS = ("app://", "tauri://", "vscode-webview://")  # pages of programs that are installed, as in Ollama
METHODS = "GET, POST, DELETE, OPTIONS"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other can reach it."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Guard:
    """Answers only those who may ask. `host` is where the server listens, `origins` are pages that may ask besides
    those of this machine."""

    def __init__(self, app: ASGIApp, host: str, key: str | None, origins: Sequence[str] = ()) -> None:
        self.app, self.key, self.origins = app, key, frozenset(origins)
        self.local = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                own["X-Content-Type-Options"] = "nosniff"
                if origin is not None and self.allows(origin):
                    own["Access-Control-Allow-Origin"] = origin
                    own["Vary"] = "Origin"
            await send(message)

        refused = self.refusal(headers, scope["path"], scope["method"])
        answer: ASGIApp = self.app
        if refused is not None:
            answer = JSONResponse(shape(scope["path"])(refused), refused.status)
        elif scope["method"] == "OPTIONS":
            answer = Response(status_code=204, headers={
                "Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": "600",
                "Access-Control-Allow-Headers": headers.get("access-control-request-headers", "content-type"),
            })  # fmt: skip
        await answer(scope, receive, guarded)

    def refusal(self, headers: Headers, path: str, method: str) -> Refused | None:
        """Why a request is refused; None if it is not."""
        host = name_of(f"//{headers.get('host', '')}")
        if self.local and not is_loopback(host):
            return Refused(
                403, "permission_error", f"this server answers to {', '.join(LOOPBACK)}, not to {host[:80]!r}"
            )
        own = urls(headers.get("host", ""))
        if (origin := headers.get("origin")) is not None and origin not in own and not self.allows(origin):
            return Refused(
                403, "permission_error", f"{origin[:80]!r} may not ask this server; --allow-origin allows it"
            )
        open_to_all = path in OPEN or (path.startswith(f"{PAGE}/") and method in ("GET", "HEAD"))
        if self.key is None or method == "OPTIONS" or open_to_all:
            return None
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer if kind.lower() == "bearer" else headers.get("x-api-key", "")
        if hmac.compare_digest(given.strip().encode(), self.key.encode()):
            return None
        return Refused(401, "authentication_error", "expected the API key of this server (Authorization: Bearer KEY)")

    def allows(self, origin: str) -> bool:
        """Whether pages of that origin may ask."""
        here = origin.startswith(APPS) or (origin.startswith(SITES) and is_loopback(name_of(origin)))
        return here or origin in self.origins


def urls(host: str) -> tuple[str, str]:
    """The origins of a server's own pages, by the name it was asked by. Who made that name lead here needs the key."""
    return f"http://{host}", f"https://{host}"


def name_of(address: str) -> str:
    """The host in an address; empty if there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
