"""Nodes of a Ray cluster: each worker is an actor with all processors of its node, and calls are its tasks.

Ray carries pickles, so who can reach a cluster can run code on it. What is sent here is plain data only.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

from bitwright.errors import BitwrightError, UsageError
from bitwright.fit.dispatch import Lost
from bitwright.fit.worker import Answer, Worker, plain

STORE = 128 << 20  # bytes of the object store of a cluster that is started here: all that is shared are a text's tokens
CODES = re.compile(r"\x1b\[[0-9;]*m")  # colours
ERROR = re.compile(r"[\w.]*(Error|Exception)\b.*: ")
REACHED = 5.0  # seconds in which a cluster must accept a connection
log = logging.getLogger(__name__)


class RayNodes:
    """The nodes of the cluster at `address`: "auto" (the one running on this machine), host:port, or "local" to start
    one here, with `threads` processors (None: all). A program that is connected to a cluster already uses that one.

    UsageError for another address; BitwrightError if Ray is not installed or no cluster is there.
    """

    def __init__(self, address: str, threads: int | None = None) -> None:
        self.address = address
        if address not in ("auto", "local"):
            _check(address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # bitwright sends no telemetry
        if address == "local" and "ray" not in sys.modules:
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # it listens on all interfaces; Ray reads this once
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise BitwrightError(f"Ray is not installed ({error}): pip install 'bitwright[ray]'") from None
        self._own = not self._ray.is_initialized()
        if self._own:
            self._connect(threads)
        self._affinity = importlib.import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        self._actor = self._ray.remote(Worker)

    def _connect(self, threads: int | None) -> None:
        handler, inner = signal.getsignal(signal.SIGTERM), cast(Any, importlib.import_module("ray._private.worker"))
        inner.print_to_stdstream = _note  # it would write of dead workers to stdout, which is for JSON
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address == "local":
            options |= {"num_cpus": threads, "include_dashboard": False, "object_store_memory": STORE}
        try:
            self._ray.init(self.address, **options)
        except Exception as error:  # Ray raises nearly every kind, and plain Exception when a start takes too long
            what = "Ray does not start" if self.address == "local" else f"no Ray cluster at {self.address}"
            raise BitwrightError(f"{what}: {reason(str(error) or type(error).__name__)}") from error
        finally:
            signal.signal(signal.SIGTERM, handler)  # Ray sets one of its own

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._own:
            self._ray.shutdown()

    def alive(self) -> Mapping[str, int]:
        """The nodes that have processors, and how many."""
        nodes = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]}
        return {node: threads for node, threads in nodes.items() if threads}

    def start(self, node: str, threads: int) -> Any:
        """A new Worker on a node, for all of its processors."""
        options = {"num_cpus": threads, "max_restarts": 0, "scheduling_strategy": self._affinity(node, soft=False)}
        return self._actor.options(**options).remote(threads)

    def share(self, data: bytes) -> Any:
        """Data in the object store: they travel once to each node."""
        return self._ray.put(plain(data))

    def call(self, worker: Any, method: str, arguments: Sequence[Any]) -> Any:
        """Begin a call; arguments are plain data, or what `share` gave."""
        for argument in arguments:
            if not isinstance(argument, self._ray.ObjectRef):
                plain(argument)
        return worker.answer.remote(method, *arguments)

    def finished(self, calls: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Those of these calls that ended; waits for one, but no longer than `seconds`."""
        wait = self._ray.wait
        if wait(calls, num_returns=1, timeout=seconds)[0]:
            return list(wait(calls, num_returns=len(calls), timeout=0)[0])
        return []

    def answer(self, call: Any) -> Answer:
        """What a finished call came to. Lost if its worker died, lacks bitwright, or raised what no user can act on."""
        try:
            found: Answer = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            raise Lost(reason(str(error))) from error
        return found

    def stop(self, worker: Any) -> None:
        """End a worker."""
        self._ray.kill(worker)


def _note(data: dict[str, Any], ignore_prefix: bool = False) -> None:
    """Log what Ray has to say."""
    log.info("%s: %s", data.get("pid"), " ".join(data.get("lines", ())))


def reason(message: str) -> str:
    """The line of one of Ray's long messages that says most: the last error it names, else the first line."""
    lines = [line for line in (CODES.sub("", line).strip() for line in message.splitlines()) if line]
    if "ModuleNotFoundError: No module named 'bitwright'" in lines:
        return "bitwright is not installed there"
    return [*lines[:1], *(line for line in lines if ERROR.match(line))][-1]


def _check(address: str) -> None:
    """Raise, within seconds, if no one listens at host:port; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        raise UsageError(f"expected the address of a Ray cluster: auto, local or host:port, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BitwrightError(f"no Ray cluster at {address}: {reason}; `ray start --head` starts one there") from error
