"""docs/horizon.md is enough to do it in another engine: llama.cpp finds the same texts and the same partings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bitwright as bw
from bitwright.measure.horizon import original, score

SCRIPT = Path(__file__).parents[3] / "examples/horizon_llama_cpp.py"
TIE = 0.02  # nats: below, either engine's rounding may decide


def test_llama_cpp_finds_the_same_horizon(models, items, stories260k, tmp_path) -> None:
    """The candidate is decoded to float32, so that both engines multiply the same weights and activations."""
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    decoded, lines = tmp_path / "q4_0.f32.gguf", tmp_path / "prompts.jsonl"
    bw.quantize(models["q4_0"].path, "f32", decoded)
    lines.write_text("".join(f"{item.line}\n" for item in items[:12]), encoding="utf-8")
    command = [SCRIPT, lines, stories260k, decoded, "--plain", "--exact", "--context", 128, "--json"]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    written = original.write(models["f32"], items[:12])
    found = score.score(written, bw.load(decoded, context=128))
    assert theirs["ids_sha256"] == written.ids_sha256
    for row, rollout, ours in zip(theirs["prompts"], written.rollouts, score.aligned(found.readings), strict=True):
        tokens = rollout.tokens.tolist()
        same = next((n for n in range(32) if tokens[n] != row["tokens"][n]), 32)
        assert same == 32 or rollout.leads[same] < TIE, "the original writes the same text"
        parted = min(int(ours), row["aligned"])
        if parted < same:
            lead = min(abs(found.readings[row["number"]].leads[parted]), rollout.leads[parted])
            assert ours == row["aligned"] or lead < TIE, "the candidate parts at the same token"
    assert len({row["aligned"] for row in theirs["prompts"]}) > 3
