"""Bytes of weights: the file that `quantize` writes, and published files."""

from __future__ import annotations

from pathlib import Path

import pytest
from slow import slow_but

from bitwright import quantizers
from bitwright.hardware.weights import assign, bytes_per_token, file_bytes, operations_per_token, weight_bytes
from bitwright.io import gguf
from bitwright.model.architectures.outline import outline
from bitwright.quantizers.file import QuantizeResult
from bitwright.recipes import FILE_TYPES
from bitwright.recipes.rules import Shape

MODELS = ("smollm2", "gemma3", "widened")


@pytest.mark.parametrize("model", MODELS)
def test_rules_see_the_same_shape(model: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(model)
    assert Shape.of(outline(path).metadata) == Shape.of(gguf.open(path).metadata)


@pytest.mark.parametrize("model", MODELS)
def test_a_file_on_disk(model: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(model)
    found = outline(path)
    assert file_bytes(found, assign(found, None)) == path.stat().st_size


# One recipe for each combination of formats; all others are for CI, as each writes a model's whole vocabulary.
SOME = ("bf16", "q4_0", "q8_0", "q2_k", "q4_k_m", "q6_k", "iq2_xxs", "iq4_nl", "mxfp4_moe", "tq1_0")


@pytest.mark.parametrize("recipe", slow_but(SOME, FILE_TYPES))
@pytest.mark.parametrize("model", MODELS)
def test_every_recipe_has_the_writers_layout(model: str, recipe: str, request: pytest.FixtureRequest) -> None:
    """A dry run of `quantize` uses the writer's layout; `test_the_file_that_quantize_writes` writes some."""
    path: Path = request.getfixturevalue(model)
    found = outline(path)
    assignments = assign(found, recipe)
    dry: QuantizeResult = quantizers.quantize(path, recipe, None, dry_run=True)
    assert assignments == dry.assignments
    assert file_bytes(found, assignments, recipe) == dry.bytes


@pytest.mark.parametrize(
    ("model", "recipe"),
    [("smollm2", "q4_0"), ("smollm2", "q2_k"), *(pytest.param(*large, marks=pytest.mark.slow) for large in [
        ("gemma3", "q8_0"), ("widened", "q6_k"),
    ])],
)  # fmt: skip
def test_the_file_that_quantize_writes(model: str, recipe: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path: Path = request.getfixturevalue(model)
    written = quantizers.quantize(path, recipe, tmp_path / "out.gguf", method="rtn")
    found = outline(path)
    expected = file_bytes(found, assign(found, recipe), recipe)
    assert written.bytes == expected == (tmp_path / "out.gguf").stat().st_size
    assert quantizers.quantize(path, recipe, None, dry_run=True).bytes == expected


@pytest.mark.parametrize(
    ("shape", "recipe", "published"),
    [  # sizes of files on the hub, exact once the bytes of the tokenizer are added: 7,835,936 or 6,060,896
        ("llama-3.1-8b", "bf16", 16068890912),
        ("llama-3.1-8b", "q2_k", 3179131168),
        ("llama-3.1-8b", "q4_k_m", 4920733984),
        ("gemma-2-27b", "q3_k_s", 12169061216),
        ("gemma-2-27b", "iq3_m", 12454830944),
        ("gemma-2-27b", "q5_k_m", 19408118624),
    ],
)
def test_published_files_to_the_byte_except_the_tokenizer(shape: str, recipe: str, published: int) -> None:
    found = outline(shape)
    assignments = assign(found, recipe)
    tokenizer = {"llama-3.1-8b": 7835936, "gemma-2-27b": 6060896}[shape]
    assert published - weight_bytes(assignments) == tokenizer
    assert file_bytes(found, assignments, recipe) == pytest.approx(published, rel=1e-4)


def test_a_token_reads_the_matrices_without_the_embedding(widened: Path) -> None:
    file, found = gguf.open(widened), outline(widened)
    embedding = file.tensors["token_embd.weight"]
    assert bytes_per_token(found, assign(found, None)) == weight_bytes(assign(found, None)) - embedding.nbytes
    matrices = sum(t.shape[0] * t.shape[1] for t in found.tensors if len(t.shape) == 2) - 49152 * 768
    assert operations_per_token(found) == 2 * matrices


def test_a_tied_embedding_is_read_as_the_output(smollm2: Path) -> None:
    found = outline(smollm2)
    assert found.tied and bytes_per_token(found, assign(found, None)) == weight_bytes(assign(found, None))
