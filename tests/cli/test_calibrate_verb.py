"""`bitwright calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

TEXT = Path(__file__).parents[2] / "examples/measures.txt"


def test_calibrate_then_quantize_with_the_statistics(bitwright, stories260k, tmp_path) -> None:
    stats, target = tmp_path / "stats.gguf", tmp_path / "out.gguf"
    found = bitwright("calibrate", stories260k, "-f", TEXT, "-c", 128, "--chunks", 2, "-o", stats, "--json").json
    assert (found["chunks"], found["tokens"], found["weights"]) == (2, 256, 36)
    bitwright("quantize", stories260k, "--to", "q4_1", "--stats", stats, "-o", target)
    metadata = bitwright("inspect", target, "--json").json["metadata"]
    assert metadata["quantize.imatrix.file"] == "stats.gguf"
    refused = bitwright("quantize", stories260k, "--to", "q4_1", "--stats", TEXT, "-o", target)
    assert refused.code == 1 and "expected entries" in refused.err and len(refused.err.splitlines()) == 1


def test_calibrate_names_its_output_after_the_model(bitwright, stories260k, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = "calibrate", stories260k, "-f", TEXT, "-c", 64, "--chunks", 1
    assert bitwright(*arguments).out.startswith("wrote stories260K.f32.imatrix.gguf: 36 weights")
    assert bitwright(*arguments, "--hessian").out.startswith("wrote stories260K.f32.stats.gguf: 36 weights")
    again = bitwright(*arguments)
    assert again.code == 2
    assert again.err == "bitwright: error: stories260K.f32.imatrix.gguf exists; name an output: -o FILE\n"


def test_calibrate_for_second_moments(bitwright, stories260k, tmp_path, monkeypatch) -> None:
    """Moments are plain, with a message, if an op has no gradient."""
    arguments = "calibrate", stories260k, "-f", TEXT, "-c", 64, "--chunks", 2, "--hessian", "-o", tmp_path / "s.gguf"
    found = bitwright(*arguments, "--json").json
    assert (found["weights"], found["moments"], found["weighting"]) == (36, 22, ["fisher", "gradient"])
    assert bitwright(*arguments, "--no-fisher", "--json").json["weighting"] == ["plain"]
    monkeypatch.delattr("bitwright.kernels.ops.Rope.gradient")
    lacking = bitwright(*arguments)
    assert lacking.code == 0 and "no gradient is known for rope: all tokens count equally" in lacking.err
    assert "21 second moments (plain)" in lacking.out


def test_calibrate_on_conversations(bitwright, smollm2, stories260k, tmp_path) -> None:
    chat = tmp_path / "chat.jsonl"
    messages = [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine, thank you."}]
    chat.write_text("\n".join([json.dumps({"messages": messages})] * 3))
    arguments = "-c", 8, "--chunks", 1, "-o", tmp_path / "s.gguf", "--chat", "-f", chat
    assert bitwright("calibrate", smollm2, *arguments, "--json").json["chunks"] == 1
    chat.write_text(chat.read_text() + '\n\n{"messages": "Hello"}')
    wrong = bitwright("calibrate", smollm2, *arguments)
    assert wrong.code == 2 and 'chat.jsonl, line 5: expected {"messages": [' in wrong.err and '"Hello"' in wrong.err
    assert "has no chat template" in bitwright("calibrate", stories260k, *arguments).err
    assert "-f FILE" in bitwright("calibrate", smollm2, *arguments[:-2]).err


def test_calibrate_without_a_text(bitwright, stories260k, tmp_path) -> None:
    done = bitwright("calibrate", stories260k, "-c", 512, "--chunks", 1, "-o", tmp_path / "s.gguf")
    assert done.code == 0 and "Python's standard library (PSF-2.0, " in done.err
    texts = bitwright("inspect", tmp_path / "s.gguf", "--json").json["metadata"]["imatrix.datasets"]
    assert "Python's standard library" in texts


def test_calibrate_refuses_the_prompts_of_the_horizon_suite(bitwright, stories260k, tmp_path) -> None:
    """A file that was calibrated on the prompts would look better on them than it is."""
    from bitwright.measure.horizon.prompts import items

    text = tmp_path / "mine.txt"
    text.write_text(f"{TEXT.read_text()}\n{items()[200].turns[0]}", encoding="utf-8")
    outcome = bitwright("calibrate", stories260k, "-f", text, "-c", 64, "--chunks", 1, "-o", tmp_path / "s.gguf")
    assert outcome.code == 2 and "mine.txt shares 13 words in a row with prompt 20 (scripts)" in outcome.err
    assert not (tmp_path / "s.gguf").exists()
