"""Files of GGUF that are no language model: every verb says what they are and what to do with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitwright import formats
from bitwright.io import gguf

VERBS = [
    ["plan"],
    ["run", "hi"],
    ["bench"],
    ["calibrate", "-f", "t.txt", "-o", "s.gguf"],
    ["eval", "-f", "t.txt"],
    ["quantize", "--to", "q8_0", "-o", "out.gguf"],
    ["fit", "--size", "2MB", "-f", "t.txt", "--held-out", "t.txt", "-o", "out.gguf"],
    ["label", "--reference", "x.gguf", "-f", "t.txt"],
    ["label", "--reference", "x.gguf", "-f", "t.txt", "-o", "out.gguf"],
]
FILES = {
    "adapter": ({"general.type": "adapter"}, ["blk.0.attn_q.weight.lora_a"], 2, "merge it into its base model"),
    "imatrix": ({"general.type": "imatrix"}, ["blk.0.attn_q.weight.in_sum2"], 2, "takes them as --stats"),
    "mmproj": ({"general.type": "mmproj"}, ["v.blk.0.attn_q.weight"], 2, "the projector of a model that sees or hears"),
    "clip": ({"general.architecture": "clip"}, ["v.blk.0.attn_q.weight"], 2, "an image encoder"),
    "nolayers": ({}, ["token_embd.weight"], 1, "expected the layers of a model"),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_model_is_named(bitwright, tmp_path, monkeypatch, kind, verb) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text("Once upon a time.")
    metadata, names, code, words = FILES[kind]
    tensors = [(name, (32, 32), formats.get("f32"), lambda: bytes(4096)) for name in names]
    gguf.write("x.gguf", {"general.architecture": "llama"} | metadata, tensors)
    outcome = bitwright(verb[0], "x.gguf", *verb[1:])
    assert outcome.code == code and outcome.out == ""
    assert words in outcome.err and "x.gguf" in outcome.err and outcome.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"x.gguf", "t.txt"}
