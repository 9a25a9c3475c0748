"""Servers to be compared, as processes, and a client that streams chats from them."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

OURS = "bitwright"


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    process: subprocess.Popen[bytes]

    @property
    def own_bytes(self) -> int:
        """Memory of the process that is its own."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.findall(r"RssAnon:\s+(\d+)", status)[0])


WHEEL = "xllamacpp"
STARTED = """
import sys, time, xllamacpp
model, port, parallel, context, threads = sys.argv[1], *map(int, sys.argv[2:6])
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.n_parallel = model, parallel * context, parallel
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
parameters.hostnames, parameters.port = ["127.0.0.1"], port
parameters.fit_params, parameters.verbosity = False, 0
server = xllamacpp.Server(parameters)
while True:
    time.sleep(60)
"""


def command(name: str, model: Path, port: int, parallel: int, context: int, threads: int, *more: str) -> list[str]:
    """What starts a server: bitwright, llama.cpp's in the wheel xllamacpp, or the llama-server at the path `name`.
    `context`: tokens of each text."""
    if name == WHEEL:
        return [sys.executable, "-c", STARTED, str(model), *map(str, (port, parallel, context, threads))]
    if name == OURS:
        own = ["--ctx", context, "--parallel", parallel, "--threads", threads, "--port", port, *more]
        return [sys.executable, "-m", "bitwright", "serve", str(model), *map(str, own)]
    own = ["-c", context * parallel, "-np", parallel, "-t", threads, "--port", port, "--no-webui", *more]
    return [name, "-m", str(model), *map(str, own)]


@contextlib.contextmanager
def served(name: str, model: Path, parallel: int, context: int, threads: int, *more: str) -> Iterator[Server]:
    """A server, once it answers, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        command(name, model, port, parallel, context, threads, *more),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait(url, process)
        yield Server(Path(name).name, url, process)
    finally:
        process.terminate()
        process.wait(60)


def wait(url: str, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    """Return once the server says that it is well."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(f"{url}/health").status_code == 200:
                return
        time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


@dataclass
class Streamed:
    """One answer as it came: HTTP status, seconds to the first token and to the end, tokens, and those of the prompt
    that were cached. `error` of a stream that began well and failed, or of a connection."""

    status: int = 0
    first: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    cached: int = 0
    error: str | None = None


async def chat(client: httpx2.AsyncClient, url: str, messages: list[dict[str, str]], tokens: int, seed: int,
               leave_after: int | None = None) -> Streamed:  # fmt: skip
    """Stream an answer of up to `tokens` tokens; the client may leave after some pieces."""
    found, started, pieces = Streamed(), time.monotonic(), 0
    asked = {"messages": messages, "max_tokens": tokens, "stream": True, "seed": seed, "temperature": 0.8,
             "stream_options": {"include_usage": True}}  # fmt: skip
    try:
        async with client.stream("POST", f"{url}/v1/chat/completions", json=asked) as answer:
            found.status = answer.status_code
            async for line in answer.aiter_lines():
                chunk = parsed(line)
                if chunk is None:
                    continue
                if "error" in chunk:
                    found.error = str(chunk["error"])
                    break
                if usage := chunk.get("usage"):
                    found.tokens = usage["completion_tokens"]
                    found.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
                delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
                if delta.get("content") or delta.get("reasoning_content"):
                    pieces += 1
                    found.first = found.first or time.monotonic() - started
                    if pieces == leave_after:
                        break
    except httpx2.HTTPError as error:
        found.error = repr(error)
    found.tokens = found.tokens or pieces
    found.seconds = time.monotonic() - started
    return found


def parsed(line: str) -> dict[str, Any] | None:
    """A line of a stream of events as JSON; None if it holds none."""
    text = line.removeprefix("data: ")
    if text.startswith("{"):
        found: dict[str, Any] = json.loads(text)
        return found
    return None


def threads() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def parser(about: str | None) -> argparse.ArgumentParser:
    """The options that comparisons of servers share."""
    found = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("model", type=Path)
    found.add_argument(
        "--peer",
        help="what to compare with: xllamacpp (its wheel holds llama.cpp's server), or the path of a llama-server",
    )
    found.add_argument("-t", "--threads", type=int, default=threads())
    return found
