"""`bitwright quantize`."""

from __future__ import annotations

import signal
import time

import pytest
from cli.support import finish, start


def test_quantize_reports_what_it_wrote(bitwright, stories260k, tmp_path) -> None:
    target = tmp_path / "out.gguf"
    found = bitwright("quantize", stories260k, "--to", "q4_0", "-o", target, "--json").json
    assert {"output", "bytes", "bits_per_weight", "recipe", "seconds"} <= set(found)
    assert found["output"] == str(target)
    assert found["bytes"] == target.stat().st_size
    written = bitwright("inspect", target, "--json").json
    assert found["bits_per_weight"] == pytest.approx(written["bits_per_weight"])
    formats = {t["name"]: (t["format"], t["bytes"]) for t in written["tensors"]}
    assert {r["tensor"]: (r["format"], r["bytes"]) for r in found["recipe"]} == formats
    assert formats["blk.0.attn_q.weight"][0] == "q4_0" and formats["blk.0.attn_norm.weight"][0] == "float32"


def test_a_dry_run_writes_nothing_and_reports_the_same(bitwright, stories260k, tmp_path) -> None:
    target = tmp_path / "out.gguf"
    promised = bitwright("quantize", stories260k, "--to", "q4_k_m", "-o", target, "--dry-run", "--json").json
    assert list(tmp_path.iterdir()) == []
    done = bitwright("quantize", stories260k, "--to", "q4_k_m", "-o", target, "--json").json
    assert promised["recipe"] == done["recipe"]
    assert promised["bits_per_weight"] == done["bits_per_weight"]
    assert promised["bytes"] == pytest.approx(done["bytes"], rel=0.002)  # metadata and padding are estimated


def test_a_fallback_is_reported(bitwright, stories260k) -> None:
    text = bitwright("quantize", stories260k, "--to", "q4_k_m", "--dry-run").out
    assert "256" in text and "64" in text  # rows of 64 hold no superblock of 256


def test_tensor_types_override_the_recipe(bitwright, stories260k) -> None:
    overrule = ["--tensor-type", r"ffn_down=q8_0", "--tensor-type", "attn_v=Q5_1"]
    found = bitwright("quantize", stories260k, "--to", "q4_0", "--dry-run", "--json", *overrule).json
    formats = {r["tensor"]: r["format"] for r in found["recipe"]}
    assert formats["blk.2.attn_v.weight"] == "q5_1" and formats["blk.1.attn_q.weight"] == "q4_0"


def test_recipe_files(bitwright, stories260k, tmp_path) -> None:
    (tmp_path / "r.toml").write_text(
        "file_type = 'q4_0'\ntensors = [['ffn_down', 'q8_0'], ['ffn', 'q5_0'], ['x', 'q8_0']]"
    )
    (tmp_path / "types.txt").write_text("attn_v=Q5_1 attn_k=q4_1")
    files = ["--to", tmp_path / "r.toml", "--tensor-type-file", tmp_path / "types.txt"]
    found = bitwright("quantize", stories260k, *files, "--tensor-type", r"\.0\.attn_v=q8_0", "--dry-run", "--json").json
    formats = {r["tensor"]: r["format"] for r in found["recipe"]}
    assert [formats[f"blk.{i}.attn_v.weight"] for i in (0, 1)] == ["q8_0", "q5_1"]
    assert [formats[f"blk.2.{name}.weight"] for name in ("attn_k", "ffn_up", "attn_q")] == ["q4_1", "q5_0", "q4_0"]
    text = bitwright("quantize", stories260k, "--to", tmp_path / "r.toml", "--dry-run").out
    assert "1 pattern of the recipe matches no tensor that is quantized: x" in text


@pytest.mark.parametrize(
    "options",
    [["--to", "q9_9"], ["--to", "missing.toml"], ["--to", "q4_0", "--tensor-type-file", "missing.txt"],
     ["--to", "q4_0", "--tensor-type", "ffn"], ["--to", "q4_0", "--tensor-type", "(=q8_0"],
     ["--to", "q4_0", "--tensor-type", "ffn=q9_9"]],
)  # fmt: skip
def test_a_wrong_recipe_is_one_line(bitwright, stories260k, tmp_path, options) -> None:
    outcome = bitwright("quantize", stories260k, "-o", tmp_path / "out.gguf", *options)
    assert outcome.code in (1, 2) and outcome.err.count("\n") == 1
    assert "bug" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_quantizing_leaves_no_file(widened, tmp_path) -> None:
    process = start("quantize", widened, "--to", "q4_k_m", "-o", tmp_path / "out.gguf", "-t", "1")
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130 and outcome.err == ""
    assert list(tmp_path.iterdir()) == []
