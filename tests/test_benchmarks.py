"""The scripts under benchmarks/ run and print what they should; speeds are not checked.

Those that take more than two seconds are for CI; test_benchmarks_start.py starts all.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bitwright as bw
from bitwright import kernels
from bitwright.calibration.second_moments import gather
from bitwright.hardware import machine
from bitwright.hardware.rates import Kernel, Measured

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def small(stories260k, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("models") / "stories.q8_0.gguf"
    bw.quantize(stories260k, "q8_0", target)
    return target


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, BENCHMARKS / script, *arguments]
    env = os.environ | {"PYTHONPATH": str(Path(bw.__file__).parents[1])}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_mutants_reach_a_step() -> None:
    line = run("mutants.py", "--reach", 2, "--seed", 5).splitlines()[-1]
    assert re.fullmatch(r"\d+ mutants in \d+ s: \d+ refused, 2 reached a step \(\d .* by an error\), 0 findings", line)


@pytest.mark.slow
def test_a_short_attack_finds_nothing() -> None:
    rows = run("attack.py", "--count", 4, "--kinds", "files,outputs,streams", "--seed", 2).splitlines()
    assert [row.split()[:2] for row in rows] == [["files", "4"], ["outputs", "4"], ["streams", "1"]]
    assert all(re.search(r" inputs, exit codes \{.*\}, 0 findings, \d+ s$", row) for row in rows)


@pytest.mark.slow
def test_constrained_texts_are_valid(smollm2: Path) -> None:
    """The share of the masks is a speed: a run that only exceeds it is none of a test's business."""
    script = BENCHMARKS / "constrained.py"
    command = [sys.executable, str(script), str(smollm2), "--count", "20", "--batch", "20"]
    env = os.environ | {"PYTHONPATH": str(Path(bw.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert "20 of 20 texts valid" in done.stdout, done.stdout + done.stderr


PEER = """#!{python}
import json, sys
numbers = lambda name: [int(n) for n in sys.argv[sys.argv.index(name) + 1].split(",")] if name in sys.argv else [0]
rows = [{{"n_prompt": n, "n_depth": 0, "avg_ts": 2.0 * n}} for n in numbers("-p") if n]
rows += [{{"n_prompt": 0, "n_depth": d, "avg_ts": 4.0 + d}} for n in numbers("-n") if n for d in numbers("-d")]
print(json.dumps(rows))
"""
BATCHED = """#!{python}
import json, sys
value = lambda name: sys.argv[sys.argv.index(name) + 1]
print("main: n_kv_max =", value("-c"))
assert value("-npp") == "1" and value("-ntg") == "4" and value("--output-format") == "jsonl"
for n in value("-npl").split(","):
    print(json.dumps({{"pl": int(n), "tg": 4, "speed_tg": 8.0 * int(n)}}))
"""


def program(path: Path, text: str) -> Path:
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.mark.slow
def test_compare_shows_a_peer_in_each_row(small, tmp_path) -> None:
    peers = "--peer", program(tmp_path / "bench", PEER), "--batched", program(tmp_path / "batched", BATCHED)
    flags = ["--files", small, "--rounds", 2, "-p", 8, 20, "-n", 4, "-d", 6, 12, "-s", 2, 3, "-t", 1, *peers]
    lines = [line.split("  ") for line in run("compare.py", *flags).splitlines() if line.startswith("stories")]
    rows = {cells[1]: [cell.strip() for cell in cells[2:] if cell.strip()] for cells in lines}
    assert {what: cells[1] for what, cells in rows.items() if "seconds" not in what} == {
        "prefill 8, tokens/s": "16.0",
        "prefill 8, of it attention, %": "-",
        "prefill 20, tokens/s": "40.0",
        "prefill 20, of it attention, %": "-",
        "decode, tokens/s": "4.0",
        "decode at a depth of 6, tokens/s": "10.0",
        "decode at a depth of 12, tokens/s": "16.0",
        "2 sequences together, tokens/s": "16.0",
        "3 sequences together, tokens/s": "24.0",
    }
    assert all(0 < float(rows[f"prefill {n}, of it attention, %"][0]) < 100 for n in (8, 20))
    assert float(rows["first token, seconds"][0]) > 0 and rows["decode, tokens/s"][-1].endswith("%")


KL_PEER = """#!{python}
# llama-perplexity as kl_agreement.py calls it: writes the store, or prints the statistics, as bitwright finds them.
import sys
from pathlib import Path
import bitwright as bw
from bitwright.measure import kld_file, llama_perplexity, next_token, windows
value = lambda name: sys.argv[sys.argv.index(name) + 1]
model, store = bw.load(value("-m"), context=int(value("-c"))), Path(value("--kl-divergence-base"))
if "--kl-divergence" in sys.argv:
    section = ""
    scores = next_token.score_tokens(model, kld_file.KldFile(store, model.tokenizer))
    for s in llama_perplexity.llama_statistics(scores):
        print(f"====== {{s.section}} statistics ======" if s.section != section else "")
        section, error = s.section, f" ± {{s.error:.6f}}" if s.error is not None else ""
        print(f"{{s.name}}: {{s.value:10.6f}}{{error}}{{s.unit}}")
else:
    text = Path(value("-f")).read_text()
    kld_file.write(store, model, windows.cut(model.tokenizer, text, int(value("-c")), int(value("--chunks"))))
"""


@pytest.mark.slow
def test_kl_agreement_compares_every_statistic(stories260k, data, tmp_path) -> None:
    peer = program(tmp_path / "llama-perplexity", KL_PEER)
    text = data / "text/tinystories/tiny.utf8"
    printed = run("kl_agreement.py", "--peer", peer, "--model", stories260k, "--recipes", "q4_0", "--text", text,
                  "-c", 64, "--chunks", 4, "--work", tmp_path)  # fmt: skip
    rows = [line.split() for line in printed.splitlines() if line.startswith("q4_0")]
    figures = [row[-4:-1] if row[-1].endswith("%") else row[-3:] for row in rows]
    assert len(rows) == 43 and all(len(set(row)) == 1 for row in figures)
    assert any("Mean KLD" in " ".join(row) and float(row[3]) > 0.01 for row in rows)


@pytest.mark.slow
def test_the_ablation_has_a_row_for_each_method_and_resumes(stories260k, data, tmp_path) -> None:
    stats = tmp_path / "stats.gguf"
    text = (data / "text/tinystories/tiny.utf8").read_text()
    gather(bw.load(stories260k).model, [("tiny", text[-8000:])], stats, 64)
    flags = ["--model", stories260k, "--stats", stats, "--plain", stats, "--recipes", "q4_0,q8_0", "--chunks", 2,
             "-f", data / "text/tinystories/tiny.utf8", "--work", tmp_path, "-t", 1]  # fmt: skip
    arms = ["rtn", "search, importance", "feedback, Fisher, descent"]
    first = run("ablation.py", *flags, "--arms", ";".join(arms[:2]))
    assert [line.split("  ")[0] for line in first.splitlines()[1:3]] == arms[:2]
    again = run("ablation.py", *flags, "--arms", ";".join(arms))
    rows = {line.split("  ")[0]: line.split() for line in again.splitlines()}
    assert rows[arms[0]] == first.splitlines()[1].split()  # not measured again
    assert float(rows[arms[2]][-2]) < float(rows[arms[0]][-2])


@pytest.mark.slow
def test_estimates_of_costs_are_compared_with_measurements(stories260k, data, tmp_path) -> None:
    text = data / "text/tinystories/tiny.utf8"
    near, stats = tmp_path / "near.txt", tmp_path / "stats.gguf"
    near.write_text(text.read_text()[-8000:])
    gather(bw.load(stories260k).model, [("near", near.read_text())], stats, 64)
    flags = ["--model", stories260k, "--stats", stats, "-c", near, "-f", text, "--formats", "q4_0,q8_0", "--at", "q4_0",
             "--chunks", 2, "--held", 2, "--each", 1, "--mixtures", 1, "--work", tmp_path, "--palette", tmp_path / "p",
             "-t", 1]  # fmt: skip
    rows = {line.split("  ")[0]: line.split() for line in run("sensitivity.py", *flags).splitlines()[::-1]}
    assert all(float(rows[name][1]) > 0.5 for name in ("rows", "layers", "gradients", "coherent", "probes"))
    assert float(rows["q4_0"][2]) > 5 * float(rows["q8_0"][2]) > 0


def test_a_soak_ends_with_a_verdict(small) -> None:
    assert "peak of the first half" in run("soak.py", small, "--minutes", 0.05, "-c", 64).splitlines()[-1]


@pytest.mark.slow
def test_the_ladder_has_a_step_for_every_tier(small) -> None:
    checkout = Path(bw.__file__).parents[2]
    printed = run("bench_ladder.py", small, "--rounds", 1, "-t", 1, "--build", f"as built={checkout}")
    rungs = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("| ")][2:]
    tiers = [f"{tier}, 1 thread" for tier in bw.kernels.tiers()]
    assert rungs == ["NumPy, float32", *tiers, "as built", f"today: {bw.kernels.tier()}, all threads",
                     "8 sequences together"]  # fmt: skip


def test_a_made_model_runs_and_has_its_recipe(tmp_path, monkeypatch) -> None:
    """The model is cut to two layers. The arithmetic of its calibration is that of its shape."""
    target = tmp_path / "made.gguf"
    run("make_model.py", "q4_k_m", target, "--layers", 2)
    shown = subprocess.run(
        [sys.executable, "-m", "bitwright", "inspect", target, "--json"], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(bw.__file__).parents[1])},
    )  # fmt: skip
    formats = {t["name"]: t["format"] for t in json.loads(shown.stdout)["tensors"]}
    assert formats["blk.0.attn_q.weight"] == "q4_k" and formats["token_embd.weight"] == "q6_k"
    engine = bw.load(target, context=16)
    assert len(engine.config.layers) == 2 and engine.config.vocabulary == 151_936
    logits = engine.session().prefill([5, 151_935])
    assert logits.shape == (151_936,) and 0 < logits.std() < 1000
    monkeypatch.syspath_prepend(BENCHMARKS)
    work, sizes = importlib.import_module("bench_calibrate").Work, importlib.import_module("make_model").SIZES["1.5b"]
    assert work.of(engine.model) == work.of_sizes(sizes._replace(layers=2))


def test_calibration_is_compared_with_its_arithmetic(stories260k) -> None:
    printed = run("bench_calibrate.py", stories260k, "--chunks", 1, "--context", 64, "-t", 1)
    stages = [line.split("  ")[0] for line in printed.splitlines()[3:10]]
    assert {"products forward", "products backward", "second moments", "all"} < set(stages)
    assert re.search(r"a Qwen2.5-7B: \d+\.\d+ CPU s per token", printed)
    printed = run("bench_calibrate.py", stories260k, "--feedback", "q8_0,q4_0", "--rows", 32)
    assert re.search(r"^q4_0, 32 rows of 64 ", printed, re.MULTILINE) and "factor of 64 columns" in printed


@pytest.mark.slow
def test_predicted_speed_is_compared_with_the_measured(stories260k, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path))
    rates = {name: Kernel(10e9, 100e9) for name in ("q8_0", "float16", "float32")}
    measured = Measured("2026-11-26", kernels.tier(), 2, 20e9, 12e9, 500e9, 360e9, 180e9, rates)
    monkeypatch.setattr(machine, "measure", lambda *_: measured)
    machine.this_machine()
    flags = "--model", stories260k, "--formats", "q8_0", "--rounds", 1, "--remembered"
    name, *cells = [cell.strip() for cell in run("predict_here.py", *flags).splitlines()[-1].strip("|").split("|")]
    assert name == "q8_0" and len(cells) == 6
    assert all(float(cells[index]) > 0 for index in (0, 1, 3, 4))
    for predicted, found, error in (cells[:3], cells[3:]):
        assert float(error.rstrip("%")) == pytest.approx(100 * (float(predicted) / float(found) - 1), abs=2)


def test_a_mixture_is_compared_with_a_dense_model() -> None:
    printed = run("bench_mixture.py", "--layers", 1, "--rounds", 1, "-n", 2, "-t", 1)
    read = dict(re.findall(r"^(dense|mixture) +([\d.]+) MB", printed, re.MULTILINE))
    assert 1 < float(read["mixture"]) / float(read["dense"]) < 1.1  # and the router
    assert re.search(r"reaches \d+% of the dense model's bandwidth", printed)


def test_published_runs_with_experts_on_the_cpu_lie_within_the_intervals() -> None:
    lines = run("expert_offload.py").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| qwen")]
    assert len(rows) == 4
    for *_, predicted, measured, _error, _source in rows:
        low, high = map(float, re.findall(r"\((\d+)-(\d+)\)", predicted)[0])
        assert low < float(measured) < high


@pytest.mark.slow
def test_arms_of_fit_are_compared_at_equal_bytes(stories260k, data, tmp_path, monkeypatch) -> None:
    """An arm and the same with llama.cpp's codes share their search; two searches take long."""
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    arms = ["preset", "errors-rtn", "additive", "seed", "evopress", "evopress-rtn"]
    text, near, stats = data / "text/tinystories/tiny.utf8", tmp_path / "near.txt", tmp_path / "stats.gguf"
    near.write_text(text.read_text()[-24000:])
    gather(bw.load(stories260k).model, [("near", near.read_text())], stats, 64)
    flags = ["--model", stories260k, "--stats", stats, "-s", near, "--sizes", "q4_0", "--palette", "k", "-f", text,
             "--chunks", 2, "--evaluations", 1, "--work", tmp_path, "-t", 1]  # fmt: skip
    lines = run("fit.py", *flags, "--arms", ",".join(arms)).splitlines()
    rows = [line.split() for line in lines if line.split()[0] in arms]
    assert [row[0] for row in rows] == 2 * arms
    nats = {row[0]: float(row[1]) for row in rows[: len(arms)]}
    assert 0 < nats["seed"] < nats["preset"]
    assert nats["evopress"] < nats["evopress-rtn"] != nats["errors-rtn"]
