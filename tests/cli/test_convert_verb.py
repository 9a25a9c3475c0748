"""`bitwright convert`, and the other verbs on checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints
from checkpoint_configs import CASES, DTYPES

from bitwright.io import gguf
from bitwright.model import files
from bitwright.quantizers import quantize

CASE = "gemma3-windows-linear"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.write(CASE, tmp_path_factory.mktemp("models") / "tiny-gemma")


@pytest.mark.parametrize("case", CASES)
def test_a_converted_file_and_its_checkpoint_quantize_to_the_same_bytes(bitwright, tmp_path, case: str) -> None:
    source = tiny_checkpoints.write(case, tmp_path / case)
    found = bitwright("convert", source, "-o", tmp_path / "m.gguf", "--json").json
    assert found["output"] == str(tmp_path / "m.gguf") and found["bytes"] == (tmp_path / "m.gguf").stat().st_size
    formats = {row["format"] for row in found["recipe"]}
    own = {"F32": "float32", "F16": "float16"}.get(DTYPES.get(case, ""), "bfloat16")
    assert formats == {own, "float32"} | ({"mxfp4"} if case.endswith("mxfp4") else set())
    for name, model in (("a", tmp_path / "m.gguf"), ("b", source)):
        quantize(model, "q4_0", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_precisions_and_parts(bitwright, checkpoint: Path, tmp_path: Path) -> None:
    outcome = bitwright("convert", checkpoint, "-o", tmp_path / "m.gguf", "--to", "F16")
    assert outcome.code == 0 and f"wrote {tmp_path / 'm.gguf'}: " in outcome.out
    file = gguf.open(tmp_path / "m.gguf")
    assert {t.format.name for t in file.tensors.values()} == {"float16", "float32"}
    assert file.metadata["general.file_type"] == 1
    assert bitwright("convert", checkpoint, "-o", tmp_path / "x", "--to", "q4_0").err.startswith(
        "bitwright: error: unknown precision 'q4_0'; known: f16, bf16, f32"
    )
    assert bitwright("convert", checkpoint, "-o", tmp_path / "x", "--split-max-size", "3").code == 0


def test_a_set_of_files(checkpoint: Path, tmp_path: Path) -> None:
    from bitwright.recipes import Recipe

    made = quantize(checkpoint, Recipe(), tmp_path / "m.gguf", most_bytes=150_000)
    whole, parts = files.open(checkpoint), files.open(str(made.output))
    assert made.bytes == parts.file_bytes and len(parts.paths) > 2
    assert parts.metadata.typed().keys() == whole.metadata.typed().keys()
    assert all((parts.tensor(name).data == whole.tensor(name).data).all() for name in whole.tensors)


def test_no_file_of_the_checkpoint_is_written_over(bitwright, checkpoint: Path) -> None:
    for name in ("model-00001-of-00002.safetensors", "tokenizer.model", "config.json"):
        before = (checkpoint / name).read_bytes()
        refused = bitwright("convert", checkpoint, "-o", checkpoint / name)
        assert refused.code == 2 and "the same command reads that file" in refused.err
        assert (checkpoint / name).read_bytes() == before


def test_the_other_verbs_take_a_checkpoint(bitwright, checkpoint: Path, tmp_path: Path, cache: Path) -> None:
    found = bitwright("inspect", checkpoint, "--json").json
    assert found["architecture"] == "gemma3" and found["tokenizer"]["model"] == "llama"
    assert bitwright("tokenize", checkpoint, "the table", "--json").json["ids"]
    assert bitwright("run", checkpoint, "the", "-n", "2", "--temp", "0", "--raw").code == 0
    (tmp_path / "text").write_text("The energy of a body is what it can do. " * 60)
    scored = bitwright("eval", checkpoint, "-f", tmp_path / "text", "--ctx", "64", "--chunks", "2", "--json").json
    assert scored["perplexity"]["mean"] > 1
    planned = bitwright("plan", checkpoint, "--device", "3090", "--json").json
    assert {row["context"] for row in planned["rows"]} == {256}
    assert bitwright("label", checkpoint, "--reference", checkpoint).code == 2
