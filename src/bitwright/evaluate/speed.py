"""Prefill and decode speed of a model, as shares of what this machine was measured to do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bitwright.engine import Model, Session

READ_BYTES = 256 << 20  # several times any last-level cache
READ_ROUNDS = 5


@dataclass(frozen=True)
class Limits:
    """What the machine does at best; None where nothing measured it."""

    read_gb_s: float
    int8_gop_s: float | None = None
    bf16_gflop_s: float | None = None


@dataclass(frozen=True)
class Speed:
    """Medians in tokens per second. `decode_share`: bytes of weights read per second against the memory's rate."""

    tier: str
    threads: int
    prompt: int
    tokens: int
    depth: int
    prefill: float
    decode: float
    limits: Limits
    prefill_share: float | None
    decode_share: float | None


def read_bandwidth(threads: int) -> float:
    """GB/s at which `threads` threads together read memory: the best of several passes over a large array."""
    words = np.ones(READ_BYTES, np.uint8)
    parts = np.array_split(words, threads)
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(READ_ROUNDS):
            started = time.perf_counter()
            list(pool.map(np.max, parts))
            best = max(best, words.nbytes / (time.perf_counter() - started))
    return best / 1e9


def measure(
    model: Model,
    prompt: int = 512,
    tokens: int = 128,
    depth: int = 0,
    rounds: int = 3,
    progress: Callable[..., None] | None = None,
) -> Speed:
    """Time `rounds` prefills of `prompt` tokens and decodes of `tokens` tokens that follow `depth` others."""
    limits = Limits(read_bandwidth(model.threads))
    ids = np.random.default_rng(0).integers(0, model.config.vocabulary, max(prompt, depth + tokens)).tolist()
    session = model.session()
    prefills, decodes = [], []
    for done in range(rounds):
        prefills.append(prompt / seconds_to_prefill(session, ids[:prompt]))
        decodes.append(tokens / seconds_to_decode(session, ids[:depth], ids[depth : depth + tokens]))
        if progress is not None:
            progress(done + 1, rounds)
    decode = statistics.median(decodes)
    return Speed(
        tier=model.tier,
        threads=model.threads,
        prompt=prompt,
        tokens=tokens,
        depth=depth,
        prefill=statistics.median(prefills),
        decode=decode,
        limits=limits,
        prefill_share=None,
        decode_share=decode * model.bytes_per_token / 1e9 / limits.read_gb_s,
    )


def seconds_to_prefill(session: Session, ids: list[int]) -> float:
    session.reset()
    started = time.perf_counter()
    session.prefill(ids)
    return time.perf_counter() - started


def seconds_to_decode(session: Session, before: list[int], ids: list[int]) -> float:
    session.reset()
    if before:
        session.prefill(before)
    started = time.perf_counter()
    for token in ids:
        session.step(token)
    return time.perf_counter() - started
