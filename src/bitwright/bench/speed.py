"""Prefill and decode speed of a model, as shares of this machine's measured limits."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bitwright import kernels
from bitwright.bench import work
from bitwright.bench.work import Limits
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine, Session


@dataclass(frozen=True)
class Speed:
    """Medians over the rounds: tokens per second, the limits, and shares of the limits of the same round; also the
    tokens per second of the fastest round, which other work on the machine disturbed least.

    `prefill_share`: the time that the arithmetic would take at the limits, over the measured time. `decode_share`: the
    rate at which the weights (as the file stores them) and the cache were read, over the memory's limit.
    `read_one_core_gb_s`: the limit of one core.
    """

    tier: str
    threads: int
    prompt: int
    tokens: int
    depth: int
    prefill: float
    decode: float
    fastest_prefill: float
    fastest_decode: float
    limits: Limits
    read_one_core_gb_s: float
    prefill_share: float
    decode_share: float


def measure_speed(
    engine: Engine,
    prompt: int = 512,
    tokens: int = 128,
    depth: int = 0,
    rounds: int = 3,
    progress: Progress | None = None,
) -> Speed:
    """Time `rounds` prefills of `prompt` tokens and decodes of `tokens` tokens after `depth` others. The limits are
    measured before each round, because the speed of a shared machine drifts within minutes."""
    one_core = kernels.Meter(1, engine.tier).read_gb_s()
    meter = kernels.Meter(engine.threads, engine.tier)
    ids = np.random.default_rng(0).integers(0, engine.config.vocabulary, max(prompt, depth + tokens)).tolist()
    session = engine.session()
    prompt_work, token_bytes = work.step(engine, prompt, 0), work.bytes_of_token(engine, depth + tokens // 2)
    limits, prefills, decodes = [], [], []
    for done in range(rounds):
        limits.append(Limits.measure(meter))
        prefills.append(seconds_to_prefill(session, ids[:prompt]))
        decodes.append(seconds_to_decode(session, ids[:depth], ids[depth : depth + tokens]) / tokens)
        if progress is not None:
            progress(done + 1, rounds, "")
    median = statistics.median
    return Speed(
        tier=engine.tier,
        threads=session.executor.threads,
        prompt=prompt,
        tokens=tokens,
        depth=depth,
        prefill=prompt / median(prefills),
        decode=1 / median(decodes),
        fastest_prefill=prompt / min(prefills),
        fastest_decode=1 / min(decodes),
        limits=Limits(*(median(values) for values in zip(*limits, strict=True))),
        read_one_core_gb_s=one_core,
        prefill_share=median(prompt_work.arithmetic_share(s, x) for s, x in zip(prefills, limits, strict=True)),
        decode_share=median(token_bytes / 1e9 / x.read_gb_s / s for s, x in zip(decodes, limits, strict=True)),
    )


def seconds_to_prefill(session: Session, ids: list[int]) -> float:
    """Seconds to read `ids` into an empty session."""
    session.reset()
    started = time.perf_counter()
    session.prefill(ids)
    return time.perf_counter() - started


def seconds_to_decode(session: Session, before: list[int], ids: list[int]) -> float:
    """Seconds to read `ids` one by one, after `before` has been read untimed."""
    session.reset()
    if before:
        session.prefill(before)
    started = time.perf_counter()
    for token in ids:
        session.step(token)
    return time.perf_counter() - started
