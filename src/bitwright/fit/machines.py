"""Where a search works: on this machine, or on the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitwright.fit.choices import Choices, Scorer
from bitwright.fit.cluster import Cluster, RayScorer
from bitwright.fit.keys import Pair
from bitwright.fit.palette import Palette
from bitwright.fit.ray_nodes import RayNodes
from bitwright.fit.scoring import EngineScorer
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.fit.dispatch import Nodes


class Machines:
    """This machine alone, or also the workers on `nodes`; `told` hears which of them are left out, and why."""

    def __init__(self, nodes: Nodes | None = None, told: Callable[[str], object] = lambda line: None) -> None:
        self.nodes, self._told = nodes, told
        self._cluster: Cluster | None = None
        self._said = 0

    @classmethod
    def at(cls, address: str | None, threads: int | None, told: Callable[[str], object]) -> Machines:
        """Those of a Ray cluster (see RayNodes); None: this machine. Raises at once if the cluster is not there."""
        return cls(None if address is None else RayNodes(address, threads), told)

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._cluster is not None:
            self._cluster.close()
        if isinstance(self.nodes, RayNodes):
            self.nodes.close()

    def build(self, palette: Palette, pairs: Sequence[Pair], statistics: Path, progress: Progress | None) -> None:
        """Build tensors in formats by all workers, and here what is then missing: all, if folders are not shared.

        `statistics` is the file of the palette's statistics.
        """
        if self.nodes is not None and self._cluster is None:
            self._cluster = Cluster(self.nodes, palette, statistics)
            self._say()
        if self._cluster is not None:
            self._cluster.build(pairs, progress)
        palette.build(pairs, progress)

    def scorer(
        self, engine: Engine, palette: Palette, choices: Choices, tokens: NDArray[np.int32], objective: str
    ) -> Scorer:
        """What measures candidates of the tensors that were built."""
        if self._cluster is None:
            return EngineScorer(engine, palette.tensor, choices, tokens, objective)
        scorer = RayScorer(self._cluster, engine, choices, tokens, objective)
        self._say()
        return scorer

    def _say(self) -> None:
        """Pass on the cluster's new warnings."""
        assert self._cluster is not None
        for line in self._cluster.warnings[self._said :]:
            self._told(line)
        self._said = len(self._cluster.warnings)
