"""Jobs handed to workers on several machines: whoever is free takes the next, and a job whose worker died is run again.

Knows neither Ray nor models: `Nodes` starts workers and carries calls and answers.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bitwright.errors import BitwrightError
from bitwright.fit.worker import Answer

TRIES = 3  # of a job; a node whose workers die that often gets no more
PATIENCE = 120.0  # seconds in which the first worker must start
GRACE = 30.0  # seconds that a worker may take to start, before work begins without it
PAUSE = 1.0  # seconds between looks at which nodes there are
log = logging.getLogger(__name__)


class Lost(Exception):
    """A worker died, or its node, or its answer was no answer: one line says what is known."""


class Nodes(Protocol):
    """Machines on which workers run. Workers and calls are opaque."""

    def alive(self) -> Mapping[str, int]:
        """The nodes that have processors, and how many."""
        ...

    def start(self, node: str, threads: int) -> Any:
        """A new Worker on a node, for all of its processors."""
        ...

    def call(self, worker: Any, method: str, arguments: Sequence[Any]) -> Any:
        """Begin `Worker.answer`. Arguments are plain data, or what `share` gave."""
        ...

    def share(self, data: bytes) -> Any:
        """Data that travel once to each node, as an argument of calls."""
        ...

    def finished(self, calls: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Those of these calls that ended; waits for one, but no longer than `seconds`."""
        ...

    def answer(self, call: Any) -> Answer:
        """What a finished call came to. Raises Lost."""
        ...

    def stop(self, worker: Any) -> None:
        """End a worker."""
        ...


@dataclass(frozen=True)
class Job:
    """A call of a Worker's method. Jobs of one `home` prefer one worker, which keeps what they need."""

    method: str
    arguments: tuple[Any, ...]
    home: int = 0


@dataclass(eq=False)
class Member:
    """A worker, and the call that it is at: of a step that makes it ready, or of a job of a run."""

    node: str
    worker: Any
    steps: int = 0  # done
    call: Any = None
    job: tuple[int, int] | None = None  # the number of the run, and of the job in it
    about: dict[str, Any] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.about.get("host", self.node[:8]))


class Team:
    """Workers on all nodes that there are, one for each node, also on those that join later.

    `steps` are the calls that make a worker ready, in order; the first is `hello`. A node that cannot take them, or
    whose workers keep dying, is left out, and `warnings` says why in a line.
    """

    def __init__(self, nodes: Nodes, patience: float = PATIENCE, grace: float = GRACE) -> None:
        self.nodes, self.patience, self.grace = nodes, patience, grace
        self.members: list[Member] = []
        self.steps: list[Job] = [Job("hello", ())]
        self.warnings: list[str] = []
        self._out: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._runs, self._looked = 0, -PAUSE

    @property
    def ready(self) -> list[Member]:
        """The members that have taken all steps, by node: a new worker has the place of the one that died there."""
        ready = [member for member in self.members if member.steps == len(self.steps)]
        return sorted(ready, key=lambda member: member.node)

    def prepare(self, steps: Sequence[Job], after: int | None = None) -> None:
        """Add steps, in place of those after the first `after`, and wait until the members have taken them.

        BitwrightError if none can, or none starts in `patience` seconds. Those that are slower to start join later.
        """
        if after is not None:
            del self.steps[after:]
            for member in self.members:
                member.steps = min(member.steps, after)
        self.steps += steps
        started = time.monotonic()
        while True:
            self._staff()
            self._advance()
            coming = [member for member in self.members if member not in self.ready]
            passed = time.monotonic() - started
            if not self.members:
                raise self._nobody()
            slow = [member for member in coming if not member.steps and time.monotonic() - member.since > self.grace]
            if not coming or (self.ready and len(slow) == len(coming)):
                return
            if passed > self.patience and not any(member.steps for member in self.members):
                raise BitwrightError(
                    f"no worker started in {self.patience:.0f} s: are all processors of the cluster in use?"
                )
            for member in self._finished():
                self._conclude(member)

    def run(self, jobs: Sequence[Job], done: Callable[[int], object] | None = None) -> list[Any]:
        """The values of the jobs, in their order. done(number of the job) is called as each ends.

        BitwrightError if a job fails TRIES times, or no worker is left.
        """
        self._runs += 1
        waiting, values = list(range(len(jobs))), dict[int, Any]()
        failures: dict[int, list[tuple[str, str]]] = {}
        while len(values) < len(jobs):
            if not self.ready:
                self.prepare(())
            self._staff()
            self._advance()
            for member in self.ready:
                if member.call is None and waiting:
                    index = self._next(member, waiting, jobs, failures)
                    if index is not None:
                        waiting.remove(index)
                        member.job, member.call = (self._runs, index), self._call(member, jobs[index])
            for member in self._finished():
                job = member.job
                value, error = self._conclude(member)
                if job is None or job[0] != self._runs:  # a step, or a job of a run that was interrupted
                    continue
                if error is None:
                    values[job[1]] = value
                    if done:
                        done(job[1])
                    continue
                log.info("a job failed on %s and is run again: %s", member.name, error)
                waiting.insert(0, job[1])
                failures.setdefault(job[1], []).append((member.node, error))
                if len(failures[job[1]]) == TRIES:
                    raise BitwrightError(f"a job failed {TRIES} times, at last on {member.name}: {error}")
        return [values[index] for index in range(len(jobs))]

    def close(self) -> None:
        """End all workers."""
        for member in self.members:
            self.nodes.stop(member.worker)
        self.members = []

    def _staff(self) -> None:
        """Start a worker on each node that has none."""
        if time.monotonic() - self._looked < PAUSE and self.members:
            return
        self._looked = time.monotonic()
        taken = {member.node for member in self.members} | self._out
        for node, threads in self.nodes.alive().items():
            if node not in taken:
                self.members.append(Member(node, self.nodes.start(node, threads)))

    def _advance(self) -> None:
        """Let members that wait for it take their next step."""
        for member in self.members:
            if member.call is None and member.steps < len(self.steps):
                member.call = self._call(member, self.steps[member.steps])

    def _call(self, member: Member, job: Job) -> Any:
        return self.nodes.call(member.worker, job.method, job.arguments)

    def _next(
        self, member: Member, waiting: list[int], jobs: Sequence[Job], failures: dict[int, list[tuple[str, str]]]
    ) -> int | None:
        """The job that a member takes: one at home there if there is one, and none that failed there if others can."""
        team = self.ready
        place, nodes = team.index(member), {other.node for other in team}
        free = []
        for index in waiting:
            bad = {node for node, _ in failures.get(index, ())}
            if member.node not in bad or nodes <= bad:
                free.append(index)
        return min(free, key=lambda index: jobs[index].home % len(team) != place, default=None)

    def _finished(self) -> list[Member]:
        """The members whose calls have ended."""
        calls = [member.call for member in self.members if member.call is not None]
        ended = self.nodes.finished(calls, PAUSE) if calls else []
        return [member for member in self.members if any(member.call is call for call in ended)]

    def _conclude(self, member: Member) -> tuple[Any, str | None]:
        """The value or the error of a member's call, which has ended."""
        call, job, member.call, member.job = member.call, member.job, None, None
        try:
            answer = self.nodes.answer(call)
        except Lost as lost:
            self._bury(member, str(lost))
            return None, str(lost)
        error: str | None = answer.get("error")
        if job is None and error is not None:
            self._leave_out(member, error)
        elif job is None:
            member.steps += 1
            if isinstance(answer["value"], dict):
                member.about |= answer["value"]
        return answer.get("value"), error

    def _bury(self, member: Member, reason: str) -> None:
        """Forget a worker that died; its node gets a new one, unless workers keep dying there."""
        self.nodes.stop(member.worker)
        self.members.remove(member)
        self._deaths[member.node] += 1
        self._looked = -PAUSE
        log.info("a worker on %s died: %s", member.name, reason)
        if self._deaths[member.node] == TRIES:
            self._out.add(member.node)
            self.warn(f"{member.name} is left out: {TRIES} workers died there, the last so: {reason}")

    def _leave_out(self, member: Member, error: str) -> None:
        self.nodes.stop(member.worker)
        self.members.remove(member)
        self._out.add(member.node)
        self.warn(f"{member.name} is left out: {error}")

    def warn(self, line: str) -> None:
        """Tell the user, now and in `warnings`."""
        self.warnings.append(line)
        log.warning(line)

    def _nobody(self) -> BitwrightError:
        return BitwrightError(
            f"no worker is left: {self.warnings[-1] if self.warnings else 'the cluster has no processors'}"
        )
