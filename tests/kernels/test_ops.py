"""Ops refuse invalid arguments, and shapes are checked against the weights by name."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from random_models import random_model

from bitwright.errors import BitwrightError, UsageError
from bitwright.kernels import Step
from bitwright.kernels.ops import OPS, widths


def shapes(**named: tuple[int, ...]) -> dict[str, Any]:
    return {name: SimpleNamespace(shape=shape) for name, shape in named.items()}


def test_widths_of_a_whole_model() -> None:
    step, weights = random_model(width=48, heads=6, kv_heads=2, head_dim=8, feed_forward=80, vocabulary=101)
    found = widths(step, weights)
    kinds = {op.kind: found[op.output.id] for op in step.ops}
    assert len(found) == len(step.ops)
    assert kinds["embed"] == kinds["rms_norm"] == kinds["add"] == 48
    assert (kinds["attention"], kinds["glu"], found[step.result.id]) == (48, 80, 101)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda s, x: s.linear(x, "nowhere"), "the model has no tensor 'nowhere'"),
        (lambda s, x: s.linear(x, "narrow"), r"the columns of narrow should be \(16,\), got \(15,\)"),
        (lambda s, x: s.linear(x, "square", "narrow"), "the shape of narrow"),
        (lambda s, x: s.rms_norm(x, "norm15", 1e-5), "the shape of norm15"),
        (lambda s, x: s.rms_norm(x, "norm5", 1e-5, heads=3), "the remainder"),
        (lambda s, x: s.rope(x, 3, 8, [1.0], True), "the width should be 24, got 16"),
        (lambda s, x: s.attention(x, x, x, 0, 2, 1, 8, 1.0), r"widths of q, k, v should be \[16, 8, 8\]"),
        (lambda s, x: s.attention(x, x, x, 0, 2, 2, 8, 1.0, sinks="norm5"), r"shape of norm5 should be \(2,\)"),
        (lambda s, x: s.route(x, 2, scoring="sigmoid", bias="norm5"), r"shape of norm5 should be \(16,\)"),
        (lambda s, x: s.route(x, 2, groups=3), "the remainder should be 0, got 1"),
        (lambda s, x: s.route(x, 2, groups=2, groups_used=3), "groups that a token uses should be 2, got 3"),
        (lambda s, x: s.route(x, 9, groups=2), "experts that a token uses should be 8, got 9"),
        (lambda s, x: s.attention(x, x, None, 0, 2, 2, 9, 1.0, latent=4), r"of q, k, v should be \[18, 18\]"),
        (lambda s, x: s.join(x, x, slices=3), r"the remainders should be \[0, 0\], got \[1, 1\]"),
        (lambda s, x: s.experts(x, s.route(x, 2), "stacked", "tall"), r"shape of tall should be \(16, 4\)"),
        (lambda s, x: s.add(x, s.linear(x, "tall")), "the second width should be 16, got 17"),
        (lambda s, x: s.columns(x, 10, 7), "the columns that are there should be 17, got 16"),
    ],
)
def test_shapes_that_disagree_are_named(build: Callable[[Step, Any], Any], message: str) -> None:
    s = Step()
    x = s.embed("table")
    s.logits(s.select(build(s, x)))
    weights = shapes(table=(9, 16), narrow=(4, 15), square=(16, 16), tall=(17, 16), norm15=(15,), norm5=(5,),
                     stacked=(16, 4, 16))  # fmt: skip
    with pytest.raises(BitwrightError, match=message):
        widths(s, weights)


def test_invalid_ops_are_refused() -> None:
    s = Step()
    x = s.embed("table")
    rows = s.select(x)
    with pytest.raises(UsageError, match="selected"):
        s.add(x, rows)
    with pytest.raises(UsageError, match="already"):
        s.select(rows)
    with pytest.raises(UsageError, match="select"):
        s.logits(x)
    with pytest.raises(UsageError, match="select"):
        s.rope(rows, 1, 16, [1.0], True)
    with pytest.raises(UsageError, match="select"):
        s.attention(rows, rows, rows, 0, 1, 1, 16, 1.0)
    with pytest.raises(UsageError, match="evenly"):
        s.attention(x, x, x, 0, 3, 2, 16, 1.0)
    with pytest.raises(UsageError, match="b is added to sigmoids, and the scoring is softmax"):
        s.route(x, 2, bias="b")
    with pytest.raises(UsageError, match="silu, gelu_tanh"):
        s.glu(x, x, "relu")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="inverse_frequencies"):
        s.rope(x, 1, 16, [1.0] * 9, True)
    with pytest.raises(UsageError, match="window must be at least 1"):
        s.attention(x, x, x, 0, 1, 1, 16, 1.0, window=0)
    for latent, values in ((None, None), (4, x), (17, None)):
        with pytest.raises(UsageError, match="expected values, or 1 to 16 values of a key that are its value"):
            s.attention(x, x, values, 0, 1, 1, 16, 1.0, latent=latent)
    s.attention(x, x, x, 0, 1, 1, 16, 1.0)
    with pytest.raises(UsageError, match="layer 0 has a cache already, of other keys"):
        s.attention(x, s.scale(x, 2.0), x, 0, 1, 1, 16, 1.0)
    with pytest.raises(UsageError, match="call logits"):
        widths(s, shapes(table=(4, 16)))
    s.logits(rows)
    with pytest.raises(UsageError, match="its result already"):
        s.logits(rows)


@pytest.mark.parametrize("kind", OPS)
def test_every_declaration_is_complete(kind: str) -> None:
    op = OPS[kind]
    assert op.__doc__ and getattr(Step, kind).__doc__ == op.__doc__
    assert callable(op.meaning) and callable(op.gradient) and op.entries
    for entry in op.entries:
        assert set(entry.fields.values()) <= {"heads", "head_dim", "index", "length", "value", "softcap"}
