"""The choice between models, from measurements made by hand, and its words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fit.results import result, small_model
from views.keys import check

from bitwright.errors import BitwrightError
from bitwright.fit.models import Decision, Entrant, decide, entrant
from bitwright.measure.comparison import Contender
from bitwright.measure.suite import Identity
from bitwright.views.fitted_models import headline, several, words

DOCUMENTS = 20


def model(name: str, bits_per_byte: float, parameters: int, bits: float, memory: int, documents: int = DOCUMENTS,
          seed: int = 0) -> Entrant:  # fmt: skip
    """Every document is equally hard for all models, but for a little noise."""
    hard = np.random.default_rng(9).lognormal(0, 0.3, documents)
    noise = np.random.default_rng(seed).normal(1, 0.01, documents)
    sizes = np.full(documents, 1000.0)
    nats = sizes * hard * noise
    nats *= bits_per_byte * np.log(2) * sizes.sum() / nats.sum()
    return Entrant(name, parameters, bits, memory, Contender(Identity(name, "", memory, bits), None, nats, sizes))


BIG = model("big.gguf", 0.70, 3 * 10**9, 4.1, 2 * 10**9)
SMALL = model("small.gguf", 0.80, 10**9, 16.0, 2 * 10**9 + 1, seed=1)


def test_bigger_and_quantized() -> None:
    found = decide([SMALL, BIG])
    assert found.chosen is BIG and found.others == (SMALL,) and found.kind == "bigger and quantized"
    assert found.behind[0].above(0) and found.tied == ()
    assert headline(found) == "big.gguf is the best of 2: bigger and quantized"
    big, small = words(found)
    assert big == "big.gguf (3.0 G weights of 4.10 bits, 2.0 GB of memory) needs 0.7000 bits per byte of text."
    assert small.startswith("small.gguf (1.0 G weights of 16.00 bits, 2.0 GB of memory) needs 0.1000 more (0.0")


def test_smaller_and_full() -> None:
    found = decide([replace(BIG, contender=model("big.gguf", 0.95, 1, 1, 1).contender), SMALL])
    assert found.chosen is SMALL and found.kind == "smaller and full"


def test_models_that_cannot_be_told_apart_are_judged_by_memory() -> None:
    near = model("near.gguf", 0.7001, 2 * 10**9, 6.0, 10**9, seed=2)
    found = decide([BIG, near, SMALL])
    assert found.chosen is near and found.tied == ("big.gguf",)
    assert [e.name for e in found.others] == ["big.gguf", "small.gguf"]
    assert headline(found).startswith("near.gguf takes the least memory of models that cannot be told apart")
    assert "needs 0.0001 fewer (-0.0" in words(found)[1] and words(found)[1].endswith("no difference can be told.")


def test_too_little_text_decides_by_the_estimate() -> None:
    few = [model(e.name, b, e.parameters, e.bits_per_weight, e.memory, 4) for e, b in ((BIG, 0.71), (SMALL, 0.7))]
    found = decide(few)
    assert found.chosen.name == "small.gguf" and "too little text for an interval" in words(found)[1]


def test_one_model_that_fits() -> None:
    found = decide([BIG])
    assert headline(found) == "big.gguf is the only one that fits" and len(words(found)) == 1


def test_from_results_to_json(tmp_path: Path) -> None:
    one, two = (small_model(tmp_path / f"{name}.gguf") for name in ("one", "two"))
    found = [result(one, Path("a.gguf")), result(two, Path("b.gguf"))]
    entrants = [entrant(f) for f in found]
    assert entrants[0].contender.sizes.sum() == found[0].measured.scores.windows.sizes.sum()
    decision: Decision = decide(entrants)
    check(
        several(found, decision, ["third.gguf does not fit"]),
        {"models": "name parameters bits_per_weight memory_bytes bits_per_byte behind", "result": "output headline"},
        "chosen kind headline words refused",
    )
    assert decision.kind == "equally big"


def test_a_model_that_was_not_measured(tmp_path: Path) -> None:
    f = result(small_model(tmp_path / "one.gguf"), Path("a.gguf"), measured=None, interrupted=True)
    with pytest.raises(BitwrightError, match=r"one\.gguf was not measured"):
        entrant(f)
