"""What a search can be told, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.errors import UnknownNameError
from bitwright.fit.families import FAMILIES
from bitwright.fit.objectives import OBJECTIVES

if TYPE_CHECKING:
    from bitwright.fit.budget import Budget
    from bitwright.hardware.speed import PredictedSpeed
    from bitwright.measure.suite import Evaluation
    from bitwright.recipes import Assignment
    from bitwright.statistics.interval import Interval

Text = tuple[str, str]  # a name, and the text


@dataclass(frozen=True)
class Settings:
    """How to search.

    minutes: for everything, the final measurement included; what does not fit is cut (`schedule`). stats: activation
    statistics, None to gather them on the search text. search: texts that candidates are measured on; empty: texts
    found on this machine. held_out: the text of the final measurement, which the search never reads; None: bitwright's
    own. palette: families of formats (`families.FAMILIES`). objective: what the search makes small: "mean", the mean KL
    divergence; "tail", its mean over the worst twentieth of a chunk's tokens; "divergence", one over the tokens until
    the likeliest differs. seed: of every random choice. threads: None for all cores. ray: the address of a Ray cluster;
    None: this machine alone. evaluations: chunks to score, of all candidates together, that end the search in place of
    time, which then cuts nothing; None: time does.

    UnknownNameError for an unknown objective or family.
    """

    minutes: float = 20.0
    stats: Path | None = None
    search: tuple[Text, ...] = ()
    held_out: Text | None = None
    palette: tuple[str, ...] = tuple(FAMILIES)
    objective: str = "mean"
    seed: int = 0
    threads: int | None = None
    ray: str | None = None
    evaluations: int | None = None

    def __post_init__(self) -> None:
        for family in self.palette:
            if family not in FAMILIES:
                raise UnknownNameError("family of formats", family, FAMILIES)
        if self.objective not in OBJECTIVES:
            raise UnknownNameError("objective", self.objective, OBJECTIVES)


@dataclass(frozen=True)
class Point:
    """A file on the front of bytes, divergence and speed: its bytes, nats on the held-out text, predicted tokens per
    second (None: no device was given), and whether it was written; others are predicted."""

    bytes: int
    kl_divergence: float
    tokens_per_second: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Fitted:
    """A file that was fitted to a budget.

    assignments: of every tensor, in the order of the file. predicted_kl: what the additive model predicts, in nats;
    None if nothing was searched (a recipe was given). searched: the divergence measured on the search text, if that was
    the objective. measured: on the text the search never read; None if the search was interrupted before.
    gain_searched, gain_apart: the divergence of the seed minus that of the result in nats, paired by chunk: on the
    chunks that the search raced on, and on those of its text that it set apart; None if the result is the seed. gains:
    the same on the held-out text by each of OBJECTIVES, as shares of what the seed loses; empty if the result is the
    seed. speed: predicted for the device, None without one. history: what was tried, for JSON. disk_bytes: of the
    quantized tensors kept for the next search. interrupted: the user stopped the search, and this is the best so far.
    cut: what was left out to keep within the minutes, in words.
    """

    source: Path
    output: Path
    budget: Budget
    bytes: int
    assignments: tuple[Assignment, ...]
    bits_per_weight: float
    seconds: float
    peak_memory_bytes: int
    disk_bytes: int
    predicted_kl: float | None = None
    searched: Interval | None = None
    measured: Evaluation | None = None
    gain_searched: Interval | None = None
    gain_apart: Interval | None = None
    gains: Mapping[str, Interval] = field(default_factory=dict)
    speed: PredictedSpeed | None = None
    front: tuple[Point, ...] = ()
    history: Mapping[str, Any] | None = None
    interrupted: bool = False
    warnings: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
