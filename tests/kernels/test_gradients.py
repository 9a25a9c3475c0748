"""Vector-Jacobian products of each op, and of each architecture's step, against finite differences in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_model
from kernels.random_models import MODELS, random_model
from model.test_forward import MODELS as ARCHITECTURES
from model.test_forward import some_ids, synthetic

from bitwright.io import gguf
from bitwright.kernels import Buffer, Op, Oracle, Step, ops, tape
from bitwright.kernels.ops import attention
from bitwright.kernels.tape import Tape, missing, parts
from bitwright.model.model import Model

STENCIL = {1: 8, -1: -8, 2: -1, -2: 1}  # twelfths: a first derivative with an error of H⁴ times the fifth
H = 1e-5  # of the finite differences: no token changes its experts; rounding's part is 1e-16 / H of the function
CLOSE = 1e-9

N = 150  # tokens: more than the queries of a block
X, Y, Z = (Buffer(n) for n in range(3))
FREQUENCIES = np.array([1, 0.3, 0.05], np.float32)

# Op, the widths of its inputs, the shapes of its weights.
CASES: dict[str, tuple[Op, list[int], list[tuple[int, ...]]]] = {
    "embed": (ops.Embed("w", 0.3), [], [(N, 24)]),
    "rms_norm": (ops.RmsNorm(X, "w", 1e-5), [24], [(24,)]),
    "rms_norm of heads": (ops.RmsNorm(X, "w", 1e-5, heads=4), [24], [(6,)]),
    "rms_norm of heads with a weight each": (ops.RmsNorm(X, "w", 1e-5, heads=4), [24], [(4, 6)]),
    "rms_norm without a weight": (ops.RmsNorm(X, None, 1e-5, heads=4), [24], []),
    "linear": (ops.Linear(X, "w"), [24], [(10, 24)]),
    "linear with a bias": (ops.Linear(X, "w", "b"), [24], [(10, 24), (10,)]),
    "rope": (ops.Rope(X, 3, 8, FREQUENCIES, interleaved=False), [24], []),
    "rope of neighbours": (ops.Rope(X, 3, 8, FREQUENCIES, interleaved=True, magnitude=1.3), [24], []),
    "attention": (ops.Attention(X, Y, Z, 0, 6, 2, 4, 0.4), [24, 8, 8], []),
    "attention in a window": (ops.Attention(X, Y, Z, 0, 6, 2, 4, 0.4, window=9), [24, 8, 8], []),
    "attention with a cap": (ops.Attention(X, Y, Z, 0, 6, 2, 4, 0.4, window=140, softcap=0.7), [24, 8, 8], []),
    "attention with sinks": (ops.Attention(X, Y, Z, 0, 6, 2, 4, 0.4, 9, 0.7, "s"), [24, 8, 8], [(6,)]),
    "attention to latent vectors": (ops.Attention(X, Y, None, 0, 6, 1, 9, 0.4, latent=5), [54, 9], []),
    "latent vectors in a window, with sinks": (
        ops.Attention(X, Y, None, 0, 6, 2, 7, 0.4, 9, 0.7, "s", latent=7),
        [42, 14],
        [(6,)],
    ),
    "route": (ops.Route(X, 3, 1.3), [10], []),
    "route by sigmoids": (ops.Route(X, 3, 1.3, "sigmoid"), [10], []),
    "route by sigmoids with a bias": (ops.Route(X, 3, 1.3, "sigmoid", "b"), [10], [(10,)]),
    "route by shares": (ops.Route(X, 3, 1.3, "share"), [10], []),
    "route in groups": (ops.Route(X, 3, 1.3, groups=5, groups_used=2), [10], []),
    "route in groups by sigmoids": (ops.Route(X, 3, 1.3, "sigmoid", "b", groups=2, groups_used=1), [10], [(10,)]),
    "every": (ops.Every(X, 4), [10], []),
    "reweigh": (ops.Reweigh(X, "w"), [6], [(10,)]),
    "experts": (ops.Experts(X, Y, "w"), [24, 6], [(10, 7, 24)]),
    "experts, every slot its own input": (ops.Experts(X, Y, "w"), [72, 6], [(10, 7, 24)]),
    "experts with biases": (ops.Experts(X, Y, "w", "b"), [24, 6], [(10, 7, 24), (10, 7)]),
    "combine": (ops.Combine(X, Y), [21, 6], []),
    "silu": (ops.Glu(X, Y, "silu"), [24, 24], []),
    "clamped": (ops.Glu(X, Y, "clamped"), [24, 24], []),
    "gelu": (ops.Glu(X, Y, "gelu_tanh"), [24, 24], []),
    "sigmoid": (ops.Glu(X, Y, "sigmoid"), [24, 24], []),
    "product": (ops.Glu(X, Y, "identity"), [24, 24], []),
    "gate": (ops.Gate(X, Y, "w"), [24, 10], [(10,)]),
    "convolution": (ops.Convolution(X, "w", 0), [24], [(24, 3)]),
    "convolution and silu": (ops.Convolution(X, "w", 0, "silu"), [24], [(24, 4)]),
    "convolution with a bias": (ops.Convolution(X, "w", 0, "silu", "b"), [24], [(24, 4), (24,)]),
    "decay": (ops.Decay(X, "b", "w"), [24], [(24,), (24,)]),
    "decay without rates": (ops.Decay(X, "b"), [24], [(24,)]),
    "delta rule": (ops.DeltaRule(X, Y, Z, 0, 2, 5, 6, 7, tiled=True), [62, 6, 6], []),
    "delta rule, heads in groups": (ops.DeltaRule(X, Y, Z, 0, 2, 5, 6, 7, tiled=False), [62, 6, 6], []),
    "scan": (ops.Scan(X, Y, Z, "w", 0, 2, 5, 6, 7), [62, 6, 6], [(6, 1)]),
    "add": (ops.Add(X, Y), [24, 24], []),
    "scale": (ops.Scale(X, 0.3), [24], []),
    "scale by a weight": (ops.Scale(X, 0.3, "w"), [24], [(1,)]),
    "softcap": (ops.Softcap(X, 1.5), [24], []),
    "temperature": (ops.Temperature(X, 0.3, 8), [24], []),
    "columns": (ops.Columns(X, 5, 7), [24], []),
    "columns of slices": (ops.Columns(X, 2, 3, slices=4), [24], []),
    "join": (ops.Join(X, Y), [24, 7], []),
    "join of slices": (ops.Join(X, Y, slices=3), [24, 6], []),
    "select": (ops.Select(X), [24], []),
}


def test_every_op_has_a_case() -> None:
    """Except the hidden state of a cut step, which has no input to vary."""
    assert {op.kind for op, _, _ in CASES.values()} == set(ops.OPS) - {"hidden"}


@pytest.mark.parametrize("name", CASES)
def test_an_op_against_finite_differences(name: str) -> None:
    op, widths, shapes = CASES[name]
    rng, n = np.random.default_rng(0), np.arange(N)
    call = ops.Call(np.float64, n, n, 0 * n, rng.integers(0, N, 40))  # some rows are requested twice
    inputs, weights = [rng.standard_normal((N, w)) for w in widths], [rng.standard_normal(s) for s in shapes]
    fixed = [np.zeros(x.shape, bool) for x in inputs]
    for i in [i for i, buffer in enumerate(op.inputs) if buffer is getattr(op, "choices", None)]:
        inputs[i], fixed[i][:, :3] = ops.Route(X, 3).meaning(call, rng.standard_normal((N, 10))), True  # does not vary
    if op.kind in ("delta_rule", "scan"):  # a state that grew would bury all else
        inputs[1] = -np.abs(inputs[1])

    def forward(moved: list[np.ndarray]) -> np.ndarray:
        return op.over_text(call, *moved, *weights)

    y = rng.standard_normal(forward(inputs).shape)
    back = op.gradient(call, y, *inputs, *weights)
    assert len(back) == len(inputs) == len(op.inputs)
    np.testing.assert_allclose(forward(inputs), op.meaning(call, *inputs, *weights), rtol=1e-9, atol=1e-9)
    for i, (x, gradient) in enumerate(zip(inputs, back, strict=True)):
        assert gradient.shape == x.shape
        for _ in range(4):
            d = np.where(fixed[i], 0, rng.standard_normal(x.shape))
            slope = derivative(lambda h, i=i, x=x, d=d: np.sum(y * forward([*inputs[:i], x + h * d, *inputs[i + 1 :]])))
            assert abs(np.sum(gradient * d) - slope) < CLOSE * np.sqrt(np.sum(y**2) * np.sum(d**2))


def derivative(f: Callable[[float], float]) -> float:
    """The derivative of f at 0."""
    return sum(share * f(steps * H) for steps, share in STENCIL.items()) / (12 * H)


def differs(step: Step, weights: dict[str, np.ndarray], ids: list[int], memory: int = 1 << 30) -> float:
    """The largest error of a directional derivative computed from the tape's gradients of each op that uses a matrix,
    over three random directions in which all such matrices move; relative to the sizes of its terms."""
    original = {name: w.astype(np.float64) for name, w in weights.items()}
    moved = dict(original)
    run = Tape(step, moved, lambda name, rows: moved[name] if rows is None else moved[name][rows], np.float64, memory)
    rng, worst, uses = np.random.default_rng(1), 0.0, {op.weights[0] for op in step.ops if op.multiplies or op.looks_up}
    y = rng.standard_normal(np.concatenate([logits for _, logits in run.logits(ids)]).shape)
    for _ in range(3):
        along = {name: rng.standard_normal(w.shape) / np.sqrt(w.size) for name, w in original.items() if name in uses}
        terms: list[tuple[float, float]] = []

        def visit(op: Any, inputs: list[np.ndarray], gradient: np.ndarray, along=along, terms=terms) -> None:
            if op.multiplies or op.looks_up:
                d = along[op.weights[0]]
                change = op.meaning(run.call, *inputs, d if inputs else d[run.call.tokens])
                terms.append((np.sum(gradient * change), np.sum(gradient**2) * np.sum(change**2)))

        def value(h: float, along=along) -> float:
            moved.update({name: original[name] + h * d for name, d in along.items()})
            return sum(np.sum(y[rows] * logits) for rows, logits in run.logits(ids))

        expected = derivative(value)
        moved.update(original)
        run.gradients(ids, lambda rows, logits: y[rows], visit)
        found, size = np.sum(terms, axis=0)
        worst = max(worst, abs(found - expected) / np.sqrt(size))
    return worst


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_against_finite_differences(tmp_path: Path, name: str) -> None:
    metadata, weights = synthetic(name)
    file = gguf.open(synthetic_model.write(tmp_path / "m.gguf", metadata, weights))
    step = Model.from_gguf(file).step
    assert missing(step) == []
    assert differs(step, weights, some_ids(20)) < CLOSE


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_a_random_model_against_finite_differences(monkeypatch: pytest.MonkeyPatch, name: str, memory: int) -> None:
    """Keeping only what passes between parts, and keeping everything; attention and the head a few rows at a time."""
    monkeypatch.setattr(attention, "QUERIES", 7)
    monkeypatch.setattr(tape, "LOGITS", 5 * 101)
    step, weights = random_model(**MODELS[name])
    assert differs(step, weights, list(range(20)), memory) < CLOSE


@pytest.mark.parametrize("name", MODELS)
def test_forward_is_the_oracle(name: str) -> None:
    step, weights = random_model(**MODELS[name])
    ids, n = np.arange(40) % 101, np.arange(40)
    run = Tape(step, weights, lambda name, rows: weights[name] if rows is None else weights[name][rows], np.float64)
    got = np.concatenate([logits for _, logits in run.logits(ids)])
    np.testing.assert_allclose(got, Oracle(step, weights).run(ids, n, 0 * n, n), rtol=1e-9, atol=1e-9)


def test_parts_end_where_one_buffer_flows() -> None:
    step, _ = random_model(gemma=True)
    found = parts(step)
    assert [op for part in found for op in part] == step.ops
    kinds = [[op.kind for op in part] for part in found]
    assert len(found) == 4 + 2 * 2 and kinds[0] == ["embed"]
    assert [own[-1] for own in kinds[1:5]] == ["add"] * 4
    for before, part in itertools.pairwise(found):
        own = {op.output.id for op in part}
        assert {b.id for op in part for b in op.inputs} <= own | {before[-1].output.id}


def test_an_op_without_a_gradient_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    step, _ = random_model()
    assert missing(step) == []
    monkeypatch.delattr(ops.Glu, "gradient")
    assert missing(step) == ["glu"]
