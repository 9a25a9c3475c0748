"""Next token: the page shows what Python computes, and answers what is typed."""

from __future__ import annotations

import math

import pytest
from watched_page import Watched, number

from bitwright.explorer.exhibits import Documents
from bitwright.measure.perplexity import perplexity
from bitwright.views import next_token


@pytest.mark.slow  # SmolLM2 and its copy read several texts; the tests below have one
def test_the_page_shows_what_python_computes(page: Watched, documents: Documents) -> None:
    models = documents.subject.models
    shown = page.open("next-token")
    found = documents["next-token/q4_0"]["prompts"][1]["after"][-1]
    assert number(page.value("divergence")) == pytest.approx(found["divergence"], rel=1e-3)
    assert page.value("favourite") == "␣Paris" and page.value("candidate-favourite") != "␣Paris"
    own = perplexity(models.engine(), next_token.passage(), 64, 4)
    assert number(page.value("perplexity")) == pytest.approx(own.mean, rel=1e-4)
    shown.locator("[data-control='place']").fill("2")
    second = documents["next-token/q4_0"]["prompts"][1]["after"][1]
    assert number(page.value("divergence")) == pytest.approx(second["divergence"], rel=1e-3)
    shown.locator(".choosable .token").first.click()
    assert shown.locator("[data-control='place']").input_value() == "1"
    shown.locator("[data-control='chunk'] input[value='128']").check()
    own = perplexity(models.engine("q4_0"), next_token.passage(), 128, 2)
    assert number(page.value("candidate-perplexity")) == pytest.approx(own.mean, rel=1e-4)
    assert page.value("scored") == "63 of 128 tokens"
    shown.locator("[data-control='number']").fill("2")
    assert "number=2" in shown.evaluate("new Promise((r) => setTimeout(() => r(location.hash), 200))")

    shown.locator("[data-control='example']").select_option("2 + 2 is")
    shown.wait_for_selector(".token >> text=+")
    shown.locator("[data-control='prompt']").fill("One, two, three,")
    shown.wait_for_selector(".token >> text=One")
    live = next_token.next_token(models.engine(), models.engine("q4_0"), "One, two, three,")
    assert number(page.value("divergence")) == pytest.approx(live["after"][-1]["divergence"], rel=1e-3)


TYPED = """async (e) => {
    e.value = "One, two";
    e.dispatchEvent(new Event("input", { bubbles: true }));
    for (let step = 0; step < 9; step++) await null;
    return [e.value, document.querySelector("main .said").innerText];
}"""


def test_a_question_waits_from_the_moment_it_is_seen(page: Watched) -> None:
    """However late the browser runs effects, a text is never shown without its answer or a word that it is coming."""
    prompt = page.open("next-token").locator("[data-control='prompt']")
    assert prompt.evaluate(TYPED) == ["One, two", "Asking both models…"]


def test_one_distribution_over_another(page: Watched) -> None:
    shown = page.open("next-token?shift=1.5")
    assert page.value("normal-divergence") == "1.125"
    shown.locator("[data-control='shift']").fill("0")
    assert page.value("normal-divergence") == "0"
    shown.locator("[data-control='height']").fill("0.75")
    wide = 1 / 0.75
    assert number(page.value("normal-divergence")) == pytest.approx(math.log(wide) + 0.5 / wide**2 - 0.5, rel=1e-3)
    assert number(page.value("normal-reversed")) == pytest.approx(-math.log(wide) + wide**2 / 2 - 0.5, rel=1e-3)
    plot = shown.get_by_role("figure", name="Move one over the other").locator("rect[style*=grab]")
    plot.drag_to(plot, source_position={"x": 200, "y": 100}, target_position={"x": 300, "y": 60})
    assert number(page.value("normal-divergence")) > 0.1
