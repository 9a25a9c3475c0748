"""The arithmetic in the page gives the bits that Python gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from watched_page import Watched

from bitwright import formats
from bitwright.formats.floats import ElementFormat
from bitwright.views.elements import INTEGERS, elements
from bitwright.views.numbers import fixed, nats

ELEMENTS = {f["name"]: f for f in elements()["formats"]}
FLOATS = [f for f in formats.all() if isinstance(f, ElementFormat)]
RUN = """async ([element, codes, values]) => {
    const a = await import("./arithmetic.js");
    const text = (v) => (Object.is(v, -0) ? "-0" : String(v));
    return [codes.map((c) => text(a.decode(element, c))), values.map((v) => a.encode(element, Number(v)))]; }"""


@pytest.fixture(scope="module")
def shown(watched: Watched) -> Any:
    """A chapter that has the arithmetic; no test changes it."""
    return watched.open("bits")


def in_page(shown: Any, name: str, codes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the page decodes of codes and encodes of values."""
    decoded, encoded = shown.evaluate(RUN, [ELEMENTS[name], codes.tolist(), list(map(repr, values.tolist()))])
    return np.array([float(v) for v in decoded]), np.array(encoded)


@pytest.mark.parametrize("format", FLOATS, ids=lambda f: f.name)
def test_floats(page: Watched, shown: Any, format: ElementFormat) -> None:
    random = np.random.default_rng(0)
    codes = np.arange(1 << format.bits) if format.bits <= 16 else random.integers(0, 1 << 32, 20_000)
    storage = {8: np.uint8, 16: np.uint16, 32: np.uint32}[max(8, format.bits)]
    with np.errstate(invalid="ignore"):  # NaNs
        numbers = format.decode(codes.astype(storage).reshape(-1, 1), ()).ravel().astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    ordered = np.unique(finite)
    ties = ((ordered[:-1] + ordered[1:]) / 2).astype(np.float32)
    values = np.concatenate([random.standard_normal(2000) * 10.0 ** random.integers(-8, 5, 2000), ties, finite,
                             [0.0, -0.0, 1e30, -1e30, 1e-40]]).astype(np.float32)  # fmt: skip
    values = values[:: max(1, len(values) // 20_000)]
    decoded, encoded = in_page(shown, format.name, codes, values)
    np.testing.assert_array_equal(decoded, numbers)
    assert (np.signbit(decoded) == np.signbit(numbers))[~np.isnan(numbers)].all()
    with np.errstate(over="ignore"):
        expected = format.round(values.reshape(-1, 1), ()).ravel()
    np.testing.assert_array_equal(encoded, expected)


@pytest.mark.parametrize("bits", INTEGERS)
def test_integers(page: Watched, shown: Any, bits: int) -> None:
    codes = np.arange(1 << bits)
    values = np.random.default_rng(0).uniform(-1.5, 1.5, 500) * (1 << (bits - 1))
    values = np.concatenate([values, codes - 0.5 * len(codes) + 0.5, [0.0, 1e9, -1e9]])  # halves: to the even one
    decoded, encoded = in_page(shown, f"int{bits}", codes, values)
    np.testing.assert_array_equal(decoded, np.where(codes < len(codes) / 2, codes, codes - len(codes)))
    np.testing.assert_array_equal(encoded, np.clip(np.rint(values), -len(codes) / 2, len(codes) / 2 - 1) % len(codes))


def test_divergences_are_written_alike(page: Watched, shown: Any) -> None:
    random = np.random.default_rng(0)
    values = [0.0, -0.0, 1e-4, 9.999e-5, -3e-9, *(random.standard_normal(500) * 10.0 ** random.uniform(-12, 2, 500))]
    run = """async (values) => { const { words } = await import("./arithmetic.js");
        return values.map((v) => [words.nats(v), words.fixed(4)(v)]); }"""
    written = shown.evaluate(run, values)
    assert written == [[nats(v), fixed(v, 4)] for v in values]
