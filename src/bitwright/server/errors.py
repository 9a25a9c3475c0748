"""What goes wrong with a request: a status, a type that clients know, and one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ANTHROPIC = {  # types of errors by status (https://docs.anthropic.com/en/api/errors)
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
TOO_LONG = "exceed_context_size_error"


class Refused(Exception):
    """A request that is not answered. `more` are further fields that clients of llama.cpp's server read. `unread`:
    whether the rest of the request is not read, so that the connection must end."""

    def __init__(
        self, status: int, kind: str, message: str, retry_after: int | None = None, unread: bool = False, **more: Any
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.more = status, kind, message, more
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if unread:
            self.headers["Connection"] = "close"

    def openai(self) -> dict[str, Any]:
        """The body that clients of OpenAI and of llama.cpp's server expect."""
        return {"error": {"code": self.status, "message": self.message, "type": self.kind, **self.more}}

    def anthropic(self) -> dict[str, Any]:
        """The body that clients of Anthropic expect."""
        other = "api_error" if self.status >= 500 else "invalid_request_error"
        kind, message = ANTHROPIC.get(self.status, other), self.message
        if self.kind == TOO_LONG:  # Claude Code makes room when it reads this
            message = f"prompt is too long: {self.more['n_prompt_tokens']} tokens > {self.more['n_ctx']} maximum"
        return {"type": "error", "error": {"type": kind, "message": message}}


Shape = Callable[[Refused], dict[str, Any]]


def shape(path: str) -> Shape:
    """How clients of an address expect errors."""
    return Refused.anthropic if path.startswith("/v1/messages") else Refused.openai


def invalid(message: str) -> Refused:
    """A request that is wrong in itself."""
    return Refused(400, "invalid_request_error", message)


def unsupported(message: str, status: int = 400) -> Refused:
    """A request for what this model or server cannot do. Not 501, for clients try again after every 5xx."""
    return Refused(status, "not_supported_error", message)


def busy(waiting: int, running: int, unread: bool = False) -> Refused:
    """A request too many: so many wait, and so many are at work."""
    after = 1 + waiting // max(running, 1)
    return Refused(429, "rate_limit_error", f"{waiting} requests are waiting; try again later", after, unread)


def too_long(tokens: int, context: int) -> Refused:
    """A prompt that leaves no room for an answer. It is never shortened in silence."""
    message = (f"the request has {tokens} tokens, which exceeds the context of {context} tokens: shorten it, or start "
               "bitwright serve with a larger --ctx, or with a model that was trained on as much")  # fmt: skip
    return Refused(400, TOO_LONG, message, n_prompt_tokens=tokens, n_ctx=context)
