"""eval --reference, compare and their reports, as a user types them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from bitwright.measure import reference, suite
from bitwright.measure.rollout import baseline


@pytest.fixture
def text(shared_data):
    return shared_data / "text/tinystories/tiny.utf8"


@pytest.fixture(scope="module")
def small(stories260k, tmp_path_factory):
    from bitwright.quantizers import quantize

    folder = tmp_path_factory.mktemp("small")
    for recipe in ("q8_0", "q4_0"):
        quantize(stories260k, recipe, folder / f"{recipe}.gguf")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache"


def test_eval_beside_a_reference(bitwright, small, stories260k, text, cache) -> None:
    command = ["eval", small / "q4_0.gguf", "--reference", stories260k, "-f", text, "-c", "128", "--json"]
    found = bitwright(*command).json
    k = found["kl_divergence"]
    assert 0.05 < k["low"] < k["mean"] < k["high"] < 0.3 and k["median"] < k["p99"] < k["max"]
    assert 0.7 < found["same_top1"] < 0.95 and found["flips"]["right_to_wrong"]["mean"] > 0
    assert 0 < found["noise_floor"]["kl_divergence"] < 1e-5 < found["noise_floor"]["floors_above"]
    assert found["calibration_overlap"] is None and found["tokens_scored"] == 12 * 63
    assert found["about"]["suite"] == "quick" and found["about"]["peak_memory_bytes"] > 1 << 24
    assert len(found["model"]["sha256"]) == 64
    assert [s["name"] for s in found["statistics"]][0] == "Mean PPL(Q)"
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")}
    again = bitwright(*command).json
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")} == files and len(files) == 12
    assert again["kl_divergence"] == k


def test_eval_in_words(bitwright, small, stories260k, text) -> None:
    command = ["eval", small / "q8_0.gguf", "--reference", stories260k, "-f", text, "-c", "128", "--chunks", "12"]
    outcome = bitwright(*command, "--calibration", text, "--statistics")
    assert outcome.code == 0
    assert outcome.out.startswith("KL divergence from the reference: 0.000")
    assert "warning: 100.0% of the text's runs of 13 words stand in the calibration text" in outcome.out
    assert "====== Token probability statistics ======" in outcome.out and "RMS Δp" in outcome.out


def test_a_file_of_llama_cpps_as_reference(bitwright, small, stories260k, text, tmp_path) -> None:
    kld = tmp_path / "base.kld"
    cut = ["-f", text, "-c", "128", "--chunks", "10"]
    assert bitwright("eval", stories260k, *cut, "--kl-divergence-base", kld).code == 0
    found = bitwright("eval", small / "q4_0.gguf", "--reference", kld, "-f", text, "--json").json
    exact = bitwright("eval", small / "q4_0.gguf", "--reference", stories260k, *cut, "--json").json
    assert found["kl_divergence"]["mean"] == pytest.approx(exact["kl_divergence"]["mean"], rel=5e-3)
    assert found["noise_floor"] is None and found["chunks_sha256"] == exact["chunks_sha256"]


class Page(HTMLParser):
    """Collects what a page shows and what it would fetch."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag, attrs) -> None:
        self.open.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "data", "srcset") and value]
        if tag in ("script", "link", "iframe", "img"):
            self.fetched.append(tag)

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
            self.open.append("")


def check_page(source: str) -> Page:
    page = Page(source)
    assert not page.fetched and "@import" not in source and "url(" not in source
    for drawing in re.findall(r"<svg.*?</svg>", source, re.DOTALL):
        root = ElementTree.fromstring(drawing)
        assert len(root) > 5 and "nan" not in drawing
    return page


def test_an_html_report_of_one(bitwright, small, stories260k, text, tmp_path) -> None:
    command = ["eval", small / "q4_0.gguf", "--reference", stories260k, "-f", text, "-c", "128"]
    assert bitwright(*command, "-o", tmp_path / "r.html").code == 0
    source = (tmp_path / "r.html").read_text()
    page = check_page(source)
    assert page.headings[0] == "What q4_0.gguf lost" and "Token by token" in page.headings
    assert source.count("<svg") >= 1 and "KL divergence from the reference: 0.1" in source
    assert "nothing is lost by storing them" in source  # 512 tokens are all kept


def test_compare(bitwright, small, stories260k, text, tmp_path) -> None:
    command = ["compare", small / "q4_0.gguf", small / "q8_0.gguf", "--reference", stories260k, "-f", text, "-c", "128"]
    found = bitwright(*command, "--json", "-o", tmp_path / "r.json").json
    written = json.loads((tmp_path / "r.json").read_text())
    for model in written["models"]:
        tokens = model.pop("heat")["tokens"]
        assert " " in "".join(token["text"] for token in tokens) and len(tokens[0]["candidate"]) == 5
    assert written == found
    assert [m["model"]["name"] for m in found["models"]] == ["q8_0.gguf", "q4_0.gguf"]
    (pair,) = found["pairs"]
    assert pair["verdict"] == "better" and pair["difference"]["high"] < 0
    assert found["front"]["bytes"] == ["q8_0.gguf", "q4_0.gguf"] and found["measure"] == "KL divergence"
    assert all(m["tokens_per_second"] > 0 for m in found["models"])
    outcome = bitwright(*command, "-o", tmp_path / "r.html")
    assert "q8_0.gguf is better than q4_0.gguf by 0." in outcome.out
    page = check_page((tmp_path / "r.html").read_text())
    assert "Quality against bytes" in page.headings and "Pair by pair" in page.headings
    assert {"Token by token: q8_0.gguf", "Token by token: q4_0.gguf"} < set(page.headings)


def test_models_of_other_tokenizers_are_compared_by_bytes(bitwright, small, stories260k, smollm2, shared_data) -> None:
    text = shared_data / "text/tinystories/tiny.utf8"
    command = ["compare", small / "q4_0.gguf", smollm2, "--reference", stories260k, "-f", text, "-c", "32"]
    found = bitwright(*command, "--chunks", "20", "--json").json
    assert found["measure"] == "bits per byte"
    better, worse = found["models"]
    assert better["model"]["name"].startswith("SmolLM2") and "kl_divergence" not in better
    assert better["bits_per_byte"]["mean"] < worse["bits_per_byte"]["mean"] and "kl_divergence" in worse


@pytest.mark.parametrize(
    "extra, said",
    [
        (["-o", "r.pdf"], "ends in .html or .json"),
        (["--suite", "huge"], "unknown suite 'huge'"),
        (["--kl-divergence-base", "x.kld"], "leave out --reference"),
        (["-o", "no/such/r.html"], "no folder"),
    ],
)
def test_wrong_use_is_one_line(bitwright, small, stories260k, text, extra, said) -> None:
    outcome = bitwright("eval", small / "q4_0.gguf", "--reference", stories260k, "-f", text, *extra)
    assert outcome.code == 2 and said in outcome.err and outcome.err.count("\n") == 1


def test_other_tokens_have_no_divergence(bitwright, stories260k, smollm2, text) -> None:
    outcome = bitwright("eval", smollm2, "--reference", stories260k, "-f", text, "-c", "64", "--chunks", "1")
    assert outcome.code == 2 and "has other tokens than the reference stories260K" in outcome.err
    assert "bits per byte" in outcome.err


def test_compare_needs_a_reference(bitwright, small, text) -> None:
    assert "--reference REF" in bitwright("compare", small / "q4_0.gguf", "-f", text).err
    assert ".kld" in bitwright("compare", small / "q4_0.gguf", "-f", text, "--reference", "x.kld").err


def test_a_label_is_written_and_audited(bitwright, small, stories260k, text, tmp_path) -> None:
    on = ["--reference", stories260k, "-f", text, "-c", "128"]
    done = bitwright("label", small / "q4_0.gguf", *on, "-o", tmp_path / "l.gguf")
    assert done.code == 0 and "kl_divergence.mean  0.1" in done.out
    good = bitwright("audit", tmp_path / "l.gguf", *on)
    assert good.code == 0 and "the label holds" in good.out
    bare = bitwright("audit", small / "q8_0.gguf", *on, "--json")
    assert bare.code == 1 and bare.json["holds"] is False and "no label" in bare.json["complaints"][0]


def test_the_full_suite_says_where_it_comes_from(bitwright, small, stories260k, text, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(suite.CHUNKS, "full", 12)
    monkeypatch.setitem(baseline.SUITES, "full", (12, 32))
    command = ["eval", small / "q4_0.gguf", "--reference", stories260k, "-f", text, "-c", "64", "--suite", "full"]
    outcome = bitwright(*command, "-o", tmp_path / "r.html")
    assert outcome.code == 0, outcome.err
    assert "Each source of error alone: weights 0." in outcome.out
    page = check_page((tmp_path / "r.html").read_text())
    assert {"Survival", "Where the texts part", "Divergence by horizon", "Where the error comes from"} <= set(
        page.headings
    )
