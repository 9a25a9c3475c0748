"""What keeps other sites out: a page elsewhere cannot ask this server, and the pages here can ask no other.

A site in the same browser could reach a server on loopback by its address, or by a name of its own that it points to
127.0.0.1 (DNS rebinding). So a request must name this server as its host, and, if the browser says where it comes
from, come from here.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "[::1]")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # always ask whether a newer one is there
}


class Guard:
    """Answers only requests that name this server on `port`, and tells the browser what its pages may do."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"{host}:{port}" for host in HOSTS} | (set(HOSTS) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # no WebSocket is served
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self.refusal(Headers(scope=scope))
        answer: Any = self.app if refused is None else JSONResponse({"error": refused}, 403)
        await answer(scope, receive, guarded)

    def refusal(self, headers: Headers) -> str | None:
        """Why a request is refused; None if it is not."""
        if (host := headers.get("host", "")) not in self.hosts:
            return f"this server answers to {', '.join(sorted(self.hosts))}, not to {host or 'no name'}"
        if (origin := headers.get("origin")) is not None and origin.removeprefix("http://") not in self.hosts:
            return f"{origin} may not ask this server"
        return None
