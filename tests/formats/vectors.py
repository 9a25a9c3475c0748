"""Shared by the format tests: weights, packed blocks with extremes, and comparison bit for bit."""

from __future__ import annotations

import numpy as np

from bitwright import formats
from bitwright.formats import Format

ENCODERS = [f for f in formats.all() if f.encodes]
GGML = [f for f in formats.all() if f.ggml is not None]


def names(items: list[Format]) -> list[str]:
    return [f.name for f in items]


def weights(shape: tuple[int, ...], seed: int = 0, scale: float = 0.05) -> np.ndarray:
    """Bell-shaped weights with a few outliers, like trained ones."""
    random = np.random.default_rng(seed)
    return (random.standard_t(5, shape) * scale).astype(np.float32)


def blocks(format: Format, count: int, seed: int = 0) -> np.ndarray:
    """Random packed blocks (count + 4, block_bytes), the last four with constant bytes: extreme codes and scales."""
    random = np.random.default_rng([seed, format.block_bytes])
    data = random.integers(0, 256, (count + 4, format.block_bytes), dtype=np.uint8)
    data[-4:] = np.array([0x00, 0xFF, 0x80, 0x7F], np.uint8)[:, None]
    return data


def assert_same_bits(got: np.ndarray, want: np.ndarray) -> None:
    """Equal float32 bits; any NaN equals any NaN."""
    got, want = got.astype(np.float32).ravel(), want.astype(np.float32).ravel()
    assert got.shape == want.shape
    differ = (got.view(np.uint32) != want.view(np.uint32)) & ~(np.isnan(got) & np.isnan(want))
    if differ.any():
        i = int(np.argmax(differ))
        raise AssertionError(f"{differ.sum()} of {len(got)} differ; first at {i}: expected {want[i]!r}, got {got[i]!r}")
