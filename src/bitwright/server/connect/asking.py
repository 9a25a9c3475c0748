"""A running server, asked as its clients ask it."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from bitwright.errors import BitwrightError, UsageError

PATIENCE = 120  # seconds without a byte; while it reads a prompt the server sends a comment every few seconds
LONGEST = 1 << 24  # bytes of an answer
NO_GAPS = 501  # the status if a model has no tokens for filling gaps


class AskError(BitwrightError):
    """A question that the server did not answer; `status` of HTTP, None if there was no answer at all."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class Event:
    """A server-sent event: its name, "" if it has none, and its data as text."""

    name: str
    data: str

    def json(self) -> Any:
        """The data. Raises AskError if it is no JSON."""
        return _parsed(self.data, "an event")


class Stay(urllib.request.HTTPRedirectHandler):
    """Takes an answer that another address has for an error: the key would go there, too."""

    def redirect_request(self, *_: object) -> None:
        """Ask no other address."""


class Server:
    """A server at an address such as http://127.0.0.1:9931, and the key it wants, if any. Raises UsageError if that is
    no address, or no key that HTTP can send. No proxy is asked, whatever the environment says: the server is the user's
    own."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url, self.key = url.rstrip("/").removesuffix("/v1"), key
        try:
            parts = urlsplit(self.url)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
            _ = parts.port
        except ValueError:
            whole = False
        if not whole or not self.url.isascii() or not self.url.isprintable():
            raise UsageError(f"{url!r} is no address of a server; expected one such as http://127.0.0.1:9931")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UsageError("the API key has characters that HTTP cannot send: use letters, digits and signs of ASCII")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay).open

    def get(self, path: str) -> Any:
        """The answer to GET, from JSON."""
        with self._answer(path, None) as answer:
            return _parsed(answer.read(LONGEST), path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to a question, from JSON."""
        with self._answer(path, body) as answer:
            return _parsed(answer.read(LONGEST), path)

    def events(self, path: str, body: dict[str, Any]) -> Iterator[Event]:
        """The events that a question is answered by."""
        with self._answer(path, body) as answer:
            kind = answer.headers.get_content_type()
            if kind != "text/event-stream":
                raise AskError(f"{path}: expected a stream of events, got {kind}")
            name, data = "", list[str]()
            for line in answer:
                field, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
                if field == "event":
                    name = value.strip()
                elif field == "data":
                    data.append(value.removeprefix(" "))
                elif not field and not value and data:
                    yield Event(name, "\n".join(data))
                    name, data = "", []

    @contextlib.contextmanager
    def _answer(self, path: str, body: dict[str, Any] | None) -> Iterator[http.client.HTTPResponse]:
        """The answer, to be read. Raises AskError if there is none, or if it breaks off while it is read."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._open(urllib.request.Request(self.url + path, data, headers), timeout=PATIENCE) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            hint = "; give it with --api-key" if error.code == HTTPStatus.UNAUTHORIZED else ""
            raise AskError(f"{path}: {error.code} {_said(error)}{hint}", error.code) from None
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or error.reason
            raise AskError(
                f"no server answers at {self.url}: {reason}; start one with `bitwright serve MODEL`"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise AskError(f"{path}: {error}") from None


def _said(error: urllib.error.HTTPError) -> str:
    """What the body of an error says."""
    try:
        return str(json.loads(error.read(LONGEST))["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return str(error.reason)


def _parsed(text: str | bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise AskError(f"{what}: expected JSON, got {text[:80]!r}") from None


@dataclass(frozen=True)
class Served:
    """What a server serves. context: tokens of a conversation. fills: whether the model can fill gaps in code. calls:
    whether its template offers it tools."""

    url: str
    key: str | None
    model: str
    context: int
    fills: bool
    calls: bool

    @classmethod
    def by(cls, server: Server) -> Served:
        """What that server serves. Raises AskError if it does not say so."""
        listed = server.get("/v1/models")
        try:
            model = listed["data"][0]
            name, context = str(model["id"]), int(model["meta"]["n_ctx"])
        except (LookupError, TypeError, ValueError):
            raise AskError(
                f"{server.url}: its list of models lacks a name or the size of the context (meta.n_ctx)"
            ) from None
        return cls(server.url, server.key, name, context, fills_gaps(server), calls_tools(server))

    @property
    def token(self) -> str:
        """A key for clients that insist on one."""
        return self.key or "none"


def fills_gaps(server: Server) -> bool:
    """Whether the model has tokens for filling gaps: an editor's first question, which asks for no text."""
    try:
        server.post("/infill", {"input_prefix": "a", "input_suffix": "b", "n_predict": 0})
    except AskError as error:
        if error.status == NO_GAPS:
            return False
        raise
    return True


def calls_tools(server: Server) -> bool:
    """Whether the model's template offers it tools."""
    return "tools" in str(server.get("/props").get("chat_template"))
