"""`bitwright eval`: perplexity, measures against a reference, and their report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli.support import check_page

from bitwright.measure import suite
from bitwright.measure.rollout import baseline

pytestmark = pytest.mark.usefixtures("cache")

TEXT = Path(__file__).parents[2] / "examples/measures.txt"


def test_eval_measures_perplexity(bitwright, small) -> None:
    found = bitwright("eval", small, "-f", TEXT, "--ctx", "128", "--chunks", "2", "--json").json
    assert {"tokens_scored", "perplexity"} <= set(found)
    assert found["tokens_scored"] == 2 * 63 and found["chunks"] == 2 and found["context"] == 128
    assert found["perplexity"]["mean"] > 1 and found["perplexity"]["standard_error"] > 0
    shown = bitwright("eval", small, "-f", TEXT, "--ctx", "128", "--chunks", "2").out
    assert shown.startswith(f"perplexity {found['perplexity']['mean']:.4f} ")


def test_eval_refuses_a_text_shorter_than_a_chunk(bitwright, small, tmp_path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("Once upon a time.")
    outcome = bitwright("eval", small, "-f", short)
    assert outcome.code in (1, 2) and outcome.err.count("\n") == 1 and "bug" not in outcome.err


def test_eval_against_a_reference(bitwright, quantized, stories260k, text, cache) -> None:
    command = ["eval", quantized / "q4_0.gguf", "--reference", stories260k, "-f", text, "-c", "128", "--json"]
    found = bitwright(*command).json
    k = found["kl_divergence"]
    assert 0.05 < k["low"] < k["mean"] < k["high"] < 0.3 and k["median"] < k["p99"] < k["max"]
    assert 0.7 < found["same_top1"] < 0.95 and found["flips"]["right_to_wrong"]["mean"] > 0
    assert 0 < found["noise_floor"]["kl_divergence"] < 1e-5 < found["noise_floor"]["floors_above"]
    assert found["calibration_overlap"] is None and found["tokens_scored"] == 12 * 63
    assert found["about"]["suite"] == "quick" and found["about"]["peak_memory_bytes"] > 1 << 24
    assert len(found["model"]["sha256"]) == 64
    assert next(s["name"] for s in found["statistics"]) == "Mean PPL(Q)"
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")}
    again = bitwright(*command).json
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")} == files and len(files) == 12
    assert again["kl_divergence"] == k


def test_eval_in_words(bitwright, quantized, stories260k, text) -> None:
    command = ["eval", quantized / "q8_0.gguf", "--reference", stories260k, "-f", text, "-c", "128", "--chunks", "12"]
    outcome = bitwright(*command, "--calibration", text, "--statistics")
    assert outcome.code == 0
    headline, divergence, *_ = outcome.out.splitlines()
    assert headline.startswith("q8_0.gguf: hardly ") and "damaged: one token in " in headline
    assert divergence.startswith("KL divergence from the reference: 0.000")
    assert "warning: 100.0% of the text's runs of 13 words also occur in the calibration text" in outcome.out
    assert "====== Token probability statistics ======" in outcome.out and "RMS Δp" in outcome.out


def test_a_kl_base_of_llama_cpp_as_reference(bitwright, quantized, stories260k, text, tmp_path) -> None:
    kld = tmp_path / "base.kld"
    cut = ["-f", text, "-c", "128", "--chunks", "10"]
    assert bitwright("eval", stories260k, *cut, "--kl-divergence-base", kld).code == 0
    found = bitwright("eval", quantized / "q4_0.gguf", "--reference", kld, "-f", text, "--json").json
    exact = bitwright("eval", quantized / "q4_0.gguf", "--reference", stories260k, *cut, "--json").json
    assert found["kl_divergence"]["mean"] == pytest.approx(exact["kl_divergence"]["mean"], rel=5e-3)
    assert found["noise_floor"] is None and found["chunks_sha256"] == exact["chunks_sha256"]


def check_sample(printed: str) -> None:
    """Asserts that docs/measure.md shows the sentences that are printed, with the numbers of another model."""
    page = (Path(__file__).parents[2] / "docs/measure.md").read_text()
    headline, *shown = re.search(r"^```\n(small.gguf: .*?)```", page, re.MULTILINE | re.DOTALL)[1].splitlines()
    own, *sentences = printed.splitlines()
    form = r"\S+: (\w+ to )?\w+ damaged: one token in \w+ is another"
    assert re.fullmatch(form, headline) and re.fullmatch(form, own)
    shown, sentences = ([re.sub(r"\d+(\.\d+)?", "0", s) for s in of] for of in (shown, sentences[: len(shown)]))
    assert shown == sentences


def test_an_html_report_of_one_model(bitwright, quantized, stories260k, text, tmp_path) -> None:
    command = ["eval", quantized / "q4_0.gguf", "--reference", stories260k, "-f", text, "-c", "128"]
    outcome = bitwright(*command, "-o", tmp_path / "r.html")
    assert outcome.code == 0
    check_sample(outcome.out)
    page = check_page((tmp_path / "r.html").read_text())
    assert page.title == "What q4_0.gguf lost" and len(page.report["heat"]["tokens"]) == 63
    assert page.report["headline"].startswith("clearly") and "damaged: one token in " in page.report["headline"]
    assert page.report["words"][0].startswith("KL divergence from the reference: 0.1")
    assert page.report["kl_divergence"]["storage_error"] == 0  # 512 tokens are all kept


@pytest.mark.parametrize(
    "extra, said",
    [
        (["-o", "r.pdf"], "ends in .html or .json"),
        (["--suite", "huge"], "unknown suite 'huge'"),
        (["--kl-divergence-base", "x.kld"], "leave out --reference"),
        (["-o", "no/such/r.html"], "no folder"),
    ],
)
def test_wrong_use_is_one_line(bitwright, quantized, stories260k, text, extra, said) -> None:
    outcome = bitwright("eval", quantized / "q4_0.gguf", "--reference", stories260k, "-f", text, *extra)
    assert outcome.code == 2 and said in outcome.err and outcome.err.count("\n") == 1


def test_different_vocabularies_have_no_divergence(bitwright, stories260k, smollm2, text) -> None:
    outcome = bitwright("eval", smollm2, "--reference", stories260k, "-f", text, "-c", "64", "--chunks", "1")
    assert outcome.code == 2 and "and the reference stories260K" in outcome.err
    assert "bits per byte" in outcome.err


def test_the_full_suite_shows_the_sources_of_error(
    bitwright, quantized, stories260k, text, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(suite.CHUNKS, "full", 12)
    monkeypatch.setitem(baseline.SUITES, "full", (12, 32))
    command = ["eval", quantized / "q4_0.gguf", "--reference", stories260k, "-f", text, "-c", "64", "--suite", "full"]
    outcome = bitwright(*command, "-o", tmp_path / "r.html")
    assert outcome.code == 0, outcome.err
    assert "Each source of error alone: weights 0." in outcome.out
    found = check_page((tmp_path / "r.html").read_text()).report
    assert found["first_divergence"] and found["free_running"]["examples"] and found["free_running"]["kl_by_horizon"]
    assert {a["kind"] for a in found["attribution"]} == {"source", "tensors"}


def test_eval_without_a_text_reads_its_own(bitwright, small) -> None:
    outcome = bitwright("eval", small, "--ctx", "128", "--chunks", "2")
    assert outcome.code == 0 and outcome.out.startswith("perplexity ")
    assert outcome.err.startswith("no -f: measuring on bitwright's own text (94 kB of English, German, Fre")


def test_its_own_text_gives_intervals_over_documents(bitwright, quantized, stories260k) -> None:
    command = ["eval", quantized / "q8_0.gguf", "--reference", stories260k, "-c", "256"]
    assert "too few" not in bitwright(*command).out
