"""Folders as hubs have them: more files than the model, fewer, copies, and weights that bitwright does not read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
from checkpoints import safetensors

from bitwright.errors import BitwrightError
from bitwright.io.safetensors import INDEX
from bitwright.model import files
from bitwright.model.architectures.outline import outline

ONE, TWO = "llama-untied-llama3", "qwen2-tied-yarn"  # in one file, and in two with an index
POINTER = "version https://git-lfs.github.com/spec/v1"
MISTRALS = safetensors({"tok_embeddings.weight": np.zeros((4, 4), np.float32)})


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def edit(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def beside(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


def quantized(method: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder, "config.json", quantization_config={"quant_method": method, "bits": 4})


@pytest.mark.parametrize(
    ("case", "change"),
    [
        (TWO, lambda folder: edit(folder, INDEX, metadata={"total_size": 7})),
        (TWO, lambda folder: edit(folder, INDEX, metadata="none")),
        (TWO, lambda folder: shutil.copy(shards(folder)[0], folder / "model-00003-of-00002.safetensors")),
        (TWO, lambda folder: shutil.copy(shards(folder)[0], folder / "model.safetensors")),
        (ONE, lambda folder: beside(folder, "consolidated.safetensors", MISTRALS)),
        (ONE, lambda folder: beside(folder, "model.fp16.safetensors", (folder / "model.safetensors").read_bytes())),
        (ONE, lambda folder: beside(folder, "original/consolidated.00.pth", b"never read")),
        (ONE, lambda folder: beside(folder, "pytorch_model.bin", b"never read")),
        (ONE, lambda folder: edit(folder, "config.json", text_config=None)),
    ],
    ids=range(9),
)
def test_what_lies_beside_the_model_changes_nothing(tmp_path: Path, case: str, change: Callable[[Path], None]) -> None:
    plain, changed = (tiny_checkpoints.write(case, tmp_path / name) for name in ("plain", "changed"))
    change(changed)
    before, after = files.open(plain), files.open(changed)
    assert [*before.tensors] == [*after.tensors]
    for name in before.tensors:
        np.testing.assert_array_equal(before.tensor(name).data, after.tensor(name).data)
    assert outline(changed).tensors == outline(plain).tensors


@pytest.mark.parametrize(
    ("case", "change", "message"),
    [
        (TWO, lambda folder: shards(folder)[1].unlink(), "cannot read .*model-00002-of-00002.safetensors: No such"),
        (TWO, lambda folder: [path.unlink() for path in (folder / INDEX, shards(folder)[1])],
         "a tensor .* of shape .*got none"),
        (TWO, lambda folder: [(folder / INDEX).unlink(), shutil.copy(shards(folder)[0], folder / "model3.safetensors")],
         "expected tensors that no other file of the set has, got 'model"),
        (TWO, lambda folder: (folder / INDEX).write_text(POINTER), "expected JSON"),
        (ONE, lambda folder: (folder / "model.safetensors").write_text(POINTER),
         "a pointer of Git LFS: fetch the file with `git lfs pull`"),
        (ONE, lambda folder: (folder / "model.safetensors").write_bytes(MISTRALS),
         "model.embed_tokens.weight, got Mistral's own names: take model"),
        (ONE, lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
         "no checkpoint .config.json and ..safetensors.; pytorch_model.bin is a pickle, which may run code: save"),
        (ONE, lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json or tokenizer.model, got neither"),
        (ONE, lambda folder: edit(folder, "config.json", text_config=[1]), "text_config to be an object, got array"),
        *((ONE, quantized(method), f"quantized by {method} is not supported; .* such as those from which these were")
          for method in ("gptq", "awq", "bitsandbytes")),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_missing_or_not_read_is_said(
    tmp_path: Path, case: str, change: Callable[[Path], object], message: str
) -> None:
    change(folder := tiny_checkpoints.write(case, tmp_path / "m"))
    with pytest.raises(BitwrightError, match=message) as refused:
        files.open(folder)
    assert "\n" not in str(refused.value)


def test_a_plan_says_that_weights_are_missing(tmp_path: Path) -> None:
    folder = tiny_checkpoints.write(TWO, tmp_path / "m")
    whole = outline(folder)
    shards(folder)[1].unlink()
    found = outline(folder)
    assert found.tensors == whole.tensors
    assert f"of these {whole.parameters:,} parameters: is a file missing?" in found.standing
