"""The noise floor: how far a reference diverges from itself.

The same weights give slightly different numbers in another tier, and may with other thread counts or batch sizes;
log-probabilities rounded to 16 bits differ too. A candidate no farther from the reference than the reference is from
itself has no measurable loss. With int8 activations the floor is higher, because a sum that differs in its last bit is
sometimes rounded to another code.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitwright import kernels
from bitwright.engine import Engine
from bitwright.errors import BitwrightError
from bitwright.io import json_text
from bitwright.io.atomic import replacing
from bitwright.measure.scoring import scored_logits
from bitwright.measure.softmax import log_probabilities
from bitwright.progress import Progress
from bitwright.statistics.interval import Interval

if TYPE_CHECKING:
    from bitwright.engine import Session
    from bitwright.measure.reference import ReferenceStore
    from bitwright.measure.windows import Windows

CHUNKS, TOKENS = 2, 128  # chunks, spread over the windows, and the first tokens of each
BATCH = 24  # tokens per step in "batches of 24": small enough to run other kernels than whole chunks do
SLOW, SLOW_TOKENS = "scalar", 48  # takes fifty times as long: run only without other tiers, on fewer tokens
FAR = 100  # times the floor, from which a multiple says nothing more
ROUNDED = "log-probabilities in 16 bits"


@dataclass(frozen=True)
class Variation:
    """Another way to compute the reference: the mean KL(reference || reference computed this way) in nats over `tokens`
    tokens, and the share of them with the same likeliest token."""

    name: str
    kl_divergence: float
    same_top1: float
    tokens: int


@dataclass(frozen=True)
class NoiseFloor:
    """The variations of a reference; the floor is the largest."""

    variations: tuple[Variation, ...]

    @property
    def kl_divergence(self) -> float:
        """The largest KL divergence of any variation, in nats."""
        return max(v.kl_divergence for v in self.variations)

    @property
    def same_top1(self) -> float:
        """The smallest share of equal likeliest tokens of any variation."""
        return min(v.same_top1 for v in self.variations)

    def above(self, value: float) -> float:
        """A divergence in multiples of the noise floor; infinite if the floor is zero."""
        return value / self.kl_divergence if self.kl_divergence > 0 else np.inf if value > 0 else 0.0

    def distinguishable(self, divergence: Interval) -> bool:
        """Whether the whole interval of a divergence, or without an interval half of its mean, lies above the floor."""
        low = divergence.ends[0] if divergence.ends else divergence.estimate / 2
        return low > self.kl_divergence

    def describe(self, divergence: Interval) -> str:
        """In words: "41 times the noise floor", "far above the noise floor" from FAR times on, or "not distinguishable
        from the reference's own noise"."""
        if not self.distinguishable(divergence):
            doubt = "not distinguishable" if divergence.ends else "too little text to tell it"
            return f"{doubt} from the reference's own noise"
        return in_floors(self.above(divergence.estimate))


def in_floors(times: float) -> str:
    """A multiple of the noise floor in words; FAR times and more say nothing more."""
    if times >= FAR:
        return "far above the noise floor"
    return f"{times:.2g} times the noise floor" if times < 10 else f"{times:.0f} times the noise floor"


def measure_noise_floor(engine: Engine, windows: Windows, progress: Progress | None = None) -> NoiseFloor:
    """Run a reference over a few chunks in every way this machine offers, and compare its predictions."""
    ids, session, found = windows.some(CHUNKS).ids[:, :TOKENS], engine.session(), []
    variants = list(_variants(engine))
    for done, (name, varied) in enumerate(variants):
        found.append(_variation(name, session, varied(), ids[:, :SLOW_TOKENS] if SLOW in name else ids))
        if progress:
            progress(done + 1, len(variants) + 1, name)
    found.append(_variation(ROUNDED, session, None, ids))
    return NoiseFloor(tuple(found))


def _variants(engine: Engine) -> Iterator[tuple[str, Callable[[], Session]]]:
    """Other ways to run the same model on this machine."""

    def changed(**options: Any) -> Session:
        return engine.replace(**options).session()

    def split() -> Session:
        session = changed()
        session.batch = BATCH
        return session

    tiers = [tier for tier in kernels.tiers() if tier != engine.tier]
    for tier in [tier for tier in tiers if tier != SLOW] or tiers:
        yield f"tier {tier}", partial(changed, tier=tier)
    threads = 1 if engine.threads > 1 else max(2, kernels.usable_cores())
    yield f"{threads} {'thread' if threads == 1 else 'threads'}", partial(changed, threads=threads)
    yield f"batches of {BATCH}", split


def _variation(name: str, session: Session, other: Session | None, ids: NDArray[np.int32]) -> Variation:
    """Two sessions over chunks `ids` (chunks, context), or one session against its rounding to 16 bits."""
    total, same, tokens, first = 0.0, 0, 0, ids.shape[1] // 2
    for chunk in ids:
        once = scored_logits(session, chunk, first)
        pairs = zip(once, scored_logits(other, chunk, first), strict=True) if other else ((part, part) for part in once)
        for (logits, _), (again, _) in pairs:
            for row, varied in zip(logits, again, strict=True):
                log_p = log_probabilities(row)
                log_q = log_probabilities(varied if other else log_p.astype(np.float16).astype(np.float32))
                total += float(np.exp(log_p) @ (log_p - log_q))
                same += int(log_p.argmax() == log_q.argmax())
                tokens += 1
    return Variation(name, max(total, 0.0) / tokens, same / tokens, tokens)


def stored_noise_floor(engine: Engine, store: ReferenceStore, progress: Progress | None = None) -> NoiseFloor:
    """The floor of a store's reference on this machine, read from the store's folder, or measured and saved there."""
    context = store.windows.context
    machine = {"tier": engine.tier, "threads": engine.threads, "tiers": kernels.tiers(), "context": context}
    path = store.folder / f"floor-{hashlib.sha256(json.dumps(machine).encode()).hexdigest()[:16]}.json"
    if path.exists() and (found := _read(path)) is not None:
        return found
    floor = measure_noise_floor(engine, store.windows, progress)
    with replacing(path) as file:
        file.write(json.dumps({**machine, "variations": [asdict(v) for v in floor.variations]}, indent=2).encode())
    return floor


def _read(path: Path) -> NoiseFloor | None:
    """A saved floor, or None if its file is damaged: then it is measured again."""
    try:
        rows = json_text.parse(path.read_bytes(), path)["variations"]
        read = [
            Variation(str(v["name"]), float(v["kl_divergence"]), float(v["same_top1"]), int(v["tokens"])) for v in rows
        ]
    except (BitwrightError, OSError, ValueError, TypeError, KeyError, OverflowError):
        return None
    sane = all(0 <= v.kl_divergence < math.inf and 0 <= v.same_top1 <= 1 and v.tokens > 0 for v in read)
    return NoiseFloor(tuple(read)) if read and sane else None
