"""`bitwright eval --suite horizon`: prompts that come with bitwright, a small model, and its report."""

from __future__ import annotations

import math

import pytest
from cli.support import check_page

from bitwright.io import gguf
from bitwright.io import label as labels
from bitwright.measure.horizon import prompts

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    """Prompts that a model of 512 tokens can read."""
    items = tuple(
        prompts.Item(kind, n, (f"Once upon a time {word} had a {kind}",))
        for kind in prompts.KINDS
        for n, word in enumerate(("Tom", "Lily"))
    )
    monkeypatch.setattr(prompts, "first", lambda each: tuple(item for item in items if item.number < each))


def test_eval_on_the_horizon_suite(bitwright, quantized, stories260k, tmp_path) -> None:
    page = tmp_path / "report.html"
    command = ["eval", quantized / "q4_0.gguf", "--reference", stories260k, "--suite", "horizon", "-t", 1]
    found = bitwright(*command, "--json").json
    assert found["suite"]["name"] == "horizon-1" and len(found["suite"]["ids_sha256"]) == 64
    assert found["suite"]["prompts"] == 10 and found["suite"]["of"] == 300 and found["suite"]["template"] is None
    assert list(found["horizon"]) == ["all", *prompts.KINDS]
    whole = found["horizon"]["all"]
    for measure in ("identical", "aligned", "kl_divergence", "same_top1", "flips"):
        assert whole[measure]["low"] <= whole[measure]["mean"] <= whole[measure]["high"], measure
        assert whole[measure]["of"] == "prompts" and found["horizon"]["code"][measure]["low"] is None
    events = whole["first_divergence"]["events"]
    assert math.isclose(whole["identical"]["mean"], 1 - events / 10) and events > 0
    assert found["endings"] == [], "a model without a chat template has no turns"
    assert whole["margins"]["below"][-1]["partings"] > 0 and len(whole["floors"]) == 2
    assert whole["floors"][0]["aligned"]["mean"] > whole["aligned"]["mean"]
    shown = bitwright(*command, "-o", page)
    assert shown.code == 0 and "stays with the original for" in shown.out and found["words"][0] in shown.out
    assert "warning: 10 of the 300 prompts" in shown.out and "The original itself, with" in shown.out
    assert [line.split()[0] for line in shown.out.splitlines() if line.startswith(tuple(prompts.KINDS))] == [
        *prompts.KINDS
    ]
    written = check_page(page.read_text())
    assert written.title == "What q4_0.gguf lost" and written.report["horizon"] == found["horizon"]


def test_the_suite_takes_no_other_text(bitwright, quantized, stories260k, tmp_path) -> None:
    start = ["eval", quantized / "q4_0.gguf", "--suite", "horizon"]
    calibrated = tmp_path / "mine.txt"
    calibrated.write_text(prompts.items()[61].turns[0])
    for extra, message in (
        ([], "needs the original model, which writes the texts"),
        (["--reference", "base.kld"], "needs the original model"),
        (["--reference", stories260k, "-f", calibrated], "leave out -f"),
        (["--reference", stories260k, "--chunks", 2], "leave out --chunks"),
        (["--reference", stories260k, "-c", 128], "leave out --ctx"),
        (
            ["--reference", stories260k, "--calibration", calibrated],
            "mine.txt shares 13 words in a row with prompt 1 (code)",
        ),
    ):
        outcome = bitwright(*start, *extra)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1
    other = bitwright("eval", quantized / "q4_0.gguf", "-f", calibrated, "--prompts", 2)
    assert other.code == 2 and "--prompts is for --suite horizon" in other.err


def test_a_label_with_the_horizon_and_a_model_card(bitwright, quantized, stories260k, text, tmp_path) -> None:
    on = ["--reference", stories260k, "-f", text, "-c", "128"]
    labelled, card = tmp_path / "l.gguf", tmp_path / "card.md"
    done = bitwright("label", quantized / "q4_0.gguf", *on, "--horizon", 2, "-o", labelled, "--card", card)
    assert done.code == 0, done.err
    found = labels.read(gguf.open(labelled))
    assert found.horizon_prompts == 10 and found["horizon.suite"] == "horizon-1"
    assert found["horizon.aligned.low"] < found["horizon.aligned.mean"] < found["horizon.aligned.high"]
    written = card.read_text()
    assert f"| stays with the original, of 32 tokens | {found['horizon.aligned.mean']:.1f} |" in written
    assert "`l.gguf`: clearly damaged" in written or "`l.gguf`: slightly to clearly damaged" in written
    good = bitwright("audit", labelled, *on)
    assert good.code == 0 and "the label holds" in good.out
    again = bitwright("eval", labelled, "--reference", stories260k, "--suite", "horizon", "--json").json
    assert labels.audit_horizon(found, again) == ()
    false = labels.Label(found.values | {f"horizon.aligned.{end}": 31.0 for end in ("mean", "low", "high")})
    assert "tokens, the label says 31.00" in labels.audit_horizon(false, again)[0]
    other = labels.Label(found.values | {"horizon.ids_sha256": "0" * 64})
    assert "were other tokens" in labels.audit_horizon(other, again)[0]
    partial = {name: value for name, value in found.values.items() if name != "horizon.prompts"}
    labels.write(gguf.open(labelled), labels.Label(partial), tmp_path / "partial.gguf")
    assert "its damage label lacks horizon.prompts" in bitwright("audit", tmp_path / "partial.gguf", *on).err
