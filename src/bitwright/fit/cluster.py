"""A search on several machines: tensors built and candidates scored by workers, with the numbers of one machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.calibration.texts import digest
from bitwright.errors import BitwrightError, UnknownNameError
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.dispatch import GRACE, Job, Nodes, Team
from bitwright.fit.keys import Pair
from bitwright.fit.objectives import OBJECTIVES
from bitwright.fit.palette import Palette
from bitwright.fit.worker import Files, Search, arithmetic
from bitwright.io import checksum
from bitwright.io.aliases import cache_folder
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine

SHARE = 2  # jobs for each worker in a call, so that none waits long for the slowest
OPENED = 2  # steps after which a worker has its files: hello, open


class Cluster:
    """Workers on `nodes` that hold the model and the quantizer of `palette`; `statistics` is the file of the latter's.

    Each node opens both files by path and checks their SHA-256. A folder of tensors that all nodes share is built once;
    a node's own is filled as tensors are needed. BitwrightError if no node can serve; nodes that cannot are left out,
    and `warnings` says why. Work begins without nodes that take longer than `grace` seconds to start a worker.
    """

    def __init__(
        self, nodes: Nodes, palette: Palette, statistics: str | Path | None = None, grace: float = GRACE
    ) -> None:
        self.nodes, self.palette, self.team = nodes, palette, Team(nodes, grace=grace)
        own = cache_folder() / "palette"
        files = Files(
            str(palette.model.path.absolute()),
            palette.model.sha256(),
            None if statistics is None else str(Path(statistics).absolute()),
            None if statistics is None else checksum.sha256([Path(statistics)]),
            palette.quantizer.method,
            palette.quantizer.effort,
            None if palette.folder == own else str(palette.folder.absolute()),
        )
        self.team.prepare([Job("open", (asdict(files),))])

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def size(self) -> int:
        """How many workers are ready."""
        return len(self.team.ready)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know: nodes that are left out, and a tier that is not this machine's best."""
        return tuple(self.team.warnings)

    def close(self) -> None:
        """End the workers."""
        self.team.close()

    def build(self, pairs: Iterable[Pair], progress: Progress | None = None) -> None:
        """Build those of these tensors in formats that the folders of the workers lack, tensor by tensor.

        progress(done, total, tensor name) is called as each tensor is complete, in units of work.
        """
        wanted: dict[str, list[tuple[str, str]]] = {}
        works: dict[str, float] = {}
        for name, format in dict.fromkeys(pairs):
            wanted.setdefault(name, []).append((name, format.name))
            work = self.palette.quantizer.work(self.palette.model.tensors[name], format)
            works[name] = works.get(name, 0.0) + work
        names = sorted(
            wanted, key=works.__getitem__, reverse=True
        )  # what takes long first: none waits for it at the end
        total, ended = sum(works.values()), set[int]()

        def done(index: int) -> None:
            ended.add(index)
            if progress:
                progress(sum(works[names[own]] for own in ended), total, names[index])

        self.team.run([Job("build", (wanted[name],), home) for home, name in enumerate(names)], done)


class RayScorer:
    """A Scorer (see `choices`) over the workers of a cluster: the scores of EngineScorer on one machine of its tier.

    `engine` runs the reference here; workers run with its options, on the fastest tier that it and all of them have.
    The other arguments are those of EngineScorer; `folder` None is each node's cache. UnknownNameError for another
    objective.
    """

    def __init__(
        self,
        cluster: Cluster,
        engine: Engine,
        choices: Choices,
        tokens: NDArray[np.int32],
        objective: str = "mean",
        folder: Path | None = None,
    ) -> None:
        if objective not in OBJECTIVES:
            raise UnknownNameError("objective", objective, list(OBJECTIVES))
        self.cluster, self.chunks, self.objective = cluster, len(tokens), objective
        self.tier = _common_tier(cluster.team, engine.tier)
        search = Search(
            choices.tensors,
            tuple(format.name for format in choices.formats),
            (tokens.shape[0], tokens.shape[1]),
            digest(tokens),
            self.tier,
            engine.context,
            engine.options.kv,
            engine.options.activations,
            None if folder is None else str(folder.absolute()),
        )
        shared = cluster.nodes.share(np.ascontiguousarray(tokens, "<i4").tobytes())
        self._id, self._step = search.id, Job("begin", (asdict(search), shared))
        self._team()

    def prepare(self, chunks: Sequence[int] | None = None, progress: Progress | None = None) -> None:
        """Let the workers compute the reference's predictions of some chunks (None: of all)."""
        wanted, ended = list(range(self.chunks) if chunks is None else chunks), list[int]()

        def done(index: int) -> None:
            ended.append(index)
            if progress:
                progress(len(ended), len(wanted), f"reference, chunk {len(ended)} of {len(wanted)}")

        self._team().run([Job("prepare", (self._id, [chunk]), chunk) for chunk in wanted], done)

    def score(self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels) -> NDArray[np.float64]:
        """The objective (candidates, chunks), less is better."""
        return self.score_all(candidates, chunks, parent)[self.objective]

    def score_all(
        self, candidates: Sequence[Levels], chunks: Sequence[int], parent: Levels
    ) -> Mapping[str, NDArray[np.float64]]:
        """Every one of OBJECTIVES (candidates, chunks) from one run.

        A worker gets the same chunks each time, as long as there are as many workers: it keeps the parent's layer
        inputs for them. Candidates are dealt out so that each job has some that begin early and some that begin late.
        """
        team = self._team()
        size, homes = len(team.ready), dict[int, list[int]]()
        for column, chunk in enumerate(chunks):
            homes.setdefault(chunk % max(1, size), []).append(column)
        parts = min(len(candidates), math.ceil(SHARE * size / max(1, len(homes))))
        places, jobs = [], []
        for part in range(parts):
            rows = list(range(part, len(candidates), parts))
            own = [[int(level) for level in candidates[row]] for row in rows]
            for home, columns in homes.items():
                places.append(np.ix_(rows, columns))
                wanted = [int(chunks[column]) for column in columns]
                jobs.append(Job("score", (self._id, own, wanted, [int(level) for level in parent]), home))
        result = {name: np.empty((len(candidates), len(chunks))) for name in OBJECTIVES}
        for place, values in zip(places, team.run(jobs), strict=True):
            for name, scores in result.items():
                scores[place] = values[name]
        return result

    def _team(self) -> Team:
        """The workers, ready to score this: another scorer may have used them in between."""
        team = self.cluster.team
        if team.steps[-1] is not self._step:
            team.prepare([self._step], after=OPENED)
        return team


def _common_tier(team: Team, own: str) -> str:
    """The fastest CPU tier, up to `own`, that this machine and all workers have; a warning if that is not `own`."""
    here = kernels.tiers()
    known = here[: here.index(own) + 1]
    common = [tier for tier in known if all(tier in member.about["tiers"] for member in team.ready)]
    if not common:
        other = next(member for member in team.ready if not {*known} & {*member.about["tiers"]})
        raise BitwrightError(f"{other.name} has none of this machine's CPU tiers: {', '.join(known)}")
    if common[-1] != own:
        slow = next(member for member in team.ready if own not in member.about["tiers"])
        team.warn(f"all workers score on tier {common[-1]}, the best that {slow.name} has; this machine has {own}")
    if odd := [member.name for member in team.ready if member.about["arithmetic"] != arithmetic()]:
        team.warn(f"{odd[0]} has another processor: scores may differ from this machine's in their last digits")
    return common[-1]
