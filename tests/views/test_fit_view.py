"""What `fit` prints: its keys, and sentences that the intervals support."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fit.results import gain, outline_of, result, small_model
from views.keys import check

from bitwright.fit.budget import Ask
from bitwright.fit.objectives import OBJECTIVES
from bitwright.statistics.interval import Interval
from bitwright.views.fit import LOSSES, fitted, roles, words

KEYS = (
    "headline words model asked output bytes bits_per_weight budget_bytes budget_of front seconds peak_memory_bytes "
    "disk_bytes interrupted warnings"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("fit") / "small.f16.gguf")


def test_keys(model: Path) -> None:
    found = fitted(result(model, Path("out.gguf")))
    check(
        found,
        KEYS,
        {
            "plan": "weights kv compute overhead total context kv_format engine",
            "recipe": "tensor format bytes reason",
            "roles": "role tensors bytes weights bits_per_weight formats",
            "predicted": "kl_divergence search tokens_per_second",
            "measured": "kl_divergence perplexity headline same_top1",
            "gain": {"search": "mean low high", "apart": "mean low high"},
            "gains": {"mean": "mean low high", "tail": "mean low high"},
            "front": "bytes kl_divergence tokens_per_second",
        },
    )
    assert found["headline"] == "clearly damaged: one token in eight is another"
    assert found["budget_bytes"] == 200_000 and found["budget_of"] == "the file" and found["output"] == "out.gguf"
    names = [t.name for t in outline_of(model).tensors]
    assert [row["tensor"] for row in found["recipe"]] == names


def test_roles_add_up(model: Path) -> None:
    f = result(model, Path("out.gguf"))
    found = {r["role"]: r for r in roles(f)}
    assert sum(r["bytes"] for r in found.values()) == sum(a.bytes for a in f.assignments)
    assert sum(r["weights"] for r in found.values()) == f.budget.outline.parameters
    assert found["attn_v"]["formats"] == {"q8_0": 7} and found["attn_v"]["bits_per_weight"] == 8.5
    assert found["ffn_down"]["formats"] == {"q4_0": 7} and found["output"]["tensors"] == 1


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (Ask(size=200_000), "Asked for: a file of 200,000 bytes. The file has"),
        (Ask(memory=10**8, context=64, kv="q8_0"),
         "Asked for: 100,000,000 bytes of memory in llama.cpp, with 64 tokens of context in q8_0. In llama.cpp it"),
        (Ask(bits_per_weight=6.0), "Asked for: 6 bits per weight. Its tensors have"),
        (Ask(max_kl=0.05), "Asked for: the smallest file with a KL divergence of at most 0.05 nats. It has"),
    ],
)  # fmt: skip
def test_what_was_asked_and_used(model: Path, ask: Ask, said: str) -> None:
    first, memory, loss, *_ = words(result(model, Path("out.gguf"), ask))
    assert first.startswith(said)
    assert memory.startswith("Running it in llama.cpp takes") and "tokens of context in" in memory
    assert loss.startswith("KL divergence from the original on text the search never read: 0.0")


def test_the_gap_between_search_text_and_other_text(model: Path) -> None:
    def said(**other: object) -> str:
        return " ".join(words(result(model, Path("out.gguf"), **other)))

    assert "took 10% off the divergence of the first allocation on search text set apart, and 10% on text" in said()
    assert "no gain can be told from chance" in said(gains={"mean": gain(0.001, -0.002, 0.004)})
    worse = said(gains={"mean": gain(-0.1, -0.15, -0.05)})
    assert "on text it never read it added 10%: it fitted its own text" in worse
    assert "off the divergence" not in said(gain_apart=None)
    assert "Predicted speed: 41.2 tokens per second (35 to 47)." in said()


def test_objectives_that_disagree_are_shown(model: Path) -> None:
    assert LOSSES.keys() == OBJECTIVES.keys()

    def said(**gains: Interval) -> str:
        return " ".join(words(result(model, Path("out.gguf"), gains=gains)))

    better, worse, either = gain(0.1, 0.06, 0.14), gain(-0.02, -0.03, -0.01), gain(-0.02, -0.05, 0.01)
    shown = said(mean=better, tail=worse, divergence=either)
    assert "of the mean divergence 10 (6 to 14), of its mean over the worst twentieth of tokens -2 (" in shown
    assert "The objectives disagree: mean fell, tail rose." in shown
    assert "disagree" not in said(mean=better, tail=either) and "in percent" not in said()


def test_a_search_that_found_nothing_better_says_so(model: Path) -> None:
    def said(best: int, tried: int) -> str:
        return " ".join(words(result(model, Path("out.gguf"), history={"best": best, "tried": [{}] * tried})))

    kept = "better than the first allocation on search text set apart: it was written."
    assert f"41 candidates were tried, but none was clearly {kept}" in said(0, 42)
    assert f"1 candidate was tried, but it was not clearly {kept}" in said(0, 2)
    assert "it was written" not in said(0, 1) and "it was written" not in said(3, 42)


def test_a_loss_that_only_the_search_text_keeps(model: Path) -> None:
    said = " ".join(words(result(model, Path("out.gguf"), Ask(max_kl=0.05))))
    assert "That is more than the 0.05 nats asked for, which it keeps on the search text" in said
    assert "more than the" not in " ".join(words(result(model, Path("out.gguf"), Ask(max_kl=0.2))))


def test_much_that_is_left_has_a_unit(model: Path) -> None:
    assert "; 9.7 GB is left." in words(result(model, Path("out.gguf"), Ask(memory=97 * 10**8, context=64)))[0]


def test_warnings_of_the_measurement_are_shown_too(model: Path) -> None:
    f = result(model, Path("out.gguf"), warnings=("one",))
    assert f.measured is not None
    found = fitted(replace(f, measured=replace(f.measured, warnings=("two",))))
    assert found["warnings"] == ["one", "two"]


def test_an_interrupted_search_was_not_measured(model: Path) -> None:
    found = fitted(result(model, Path("out.gguf"), measured=None, interrupted=True))
    assert found["headline"] == "not measured, because the search was interrupted" and found["measured"] is None
