"""Recipes on real files, against the output of llama-quantize --dry-run; overrides; kept tensors.

llama_quantize_types.json: for each model and file type, how many tensors get which type, and the CRC-32 of the lines
"NAME TYPE\\n" in order of names (llama.cpp 0c1e570), or null where it fails without a fallback.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path

import pytest
import snapshots

from bitwright import formats
from bitwright.errors import FileFormatError, UnsupportedError, UsageError
from bitwright.io import gguf
from bitwright.recipes import FILE_TYPES, Pattern, Recipe, Shape

EXPECTED = json.loads(Path(__file__).with_name("llama_quantize_types.json").read_text())
SHORT = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
SMALL = Shape("llama", layers=8, heads=8, kv_heads=8)


@pytest.mark.parametrize("model", EXPECTED)
def test_equals_llama_quantize(model: str, request: pytest.FixtureRequest) -> None:
    file = gguf.open(request.getfixturevalue(model))
    shape, tensors = Shape.of(file.metadata), list(file.tensors.values())
    assert set(EXPECTED[model]) == set(FILE_TYPES)
    for recipe, expected in EXPECTED[model].items():
        if expected is None:
            continue
        given = {a.tensor: SHORT.get(a.format.name, a.format.name) for a in Recipe.named(recipe).assign(shape, tensors)}
        lines = "".join(f"{name} {type}\n" for name, type in sorted(given.items()))
        assert Counter(given.values()) == expected["counts"], recipe
        assert zlib.crc32(lines.encode()) == expected["crc32"], recipe


def matrix(name: str, *shape: int) -> snapshots.Matrix:
    return snapshots.Matrix(name, shape or (256, 512), formats.get("f16"))


def assigned(recipe: str, *tensors: snapshots.Matrix, overrides: tuple[str, ...] = ()) -> list[str]:
    given = Recipe.named(recipe).preceded(map(Pattern.parse, overrides)).assign(SMALL, tensors)
    assert [a.tensor for a in given] == [t.name for t in tensors]
    return [a.format.name for a in given]


def test_the_first_matching_override_wins() -> None:
    tensors = [matrix(f"blk.{i}.attn_q.weight") for i in range(3)] + [matrix("output.weight")]
    overrides = (r"blk\.[01]\.=Q5_0", "attn_q=q8_0", "^output.weight$=q4_1")
    assert assigned("q4_k_s", *tensors, overrides=overrides) == ["q5_0", "q5_0", "q8_0", "q4_1"]
    whole = r"^blk\.1\.attn_q\.weight$=q5_1"  # names one tensor, and is looked up by it
    assert assigned("q4_k_s", *tensors, overrides=(*overrides, whole)) == ["q5_0", "q5_0", "q8_0", "q4_1"]
    assert assigned("q4_k_s", *tensors, overrides=(whole, *overrides)) == ["q5_0", "q5_1", "q8_0", "q4_1"]


def test_overrides_hold_for_float_recipes_and_fall_back_by_shape() -> None:
    tensors = [matrix("output.weight"), matrix("blk.0.attn_q.weight", 64, 96), matrix("blk.0.attn_k.weight", 64, 40)]
    assert assigned("f16", *tensors, overrides=("attn=q4_k",)) == ["float16", "q5_0", "float16"]


@pytest.mark.parametrize("text", ["attn_q", "=q4_0", "attn[=q4_0"])
def test_bad_override_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected REGEX=FORMAT|is not a regular expression"):
        assigned("q8_0", matrix("output.weight"), overrides=(text,))


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedError, match="unknown recipe 'q9_x'; did you mean"):
        Recipe.named("q9_x")
    with pytest.raises(UnsupportedError, match="unknown format 'q9_x'; did you mean"):
        Pattern.parse("attn=q9_x")


def test_small_and_special_tensors_keep_their_format() -> None:
    kept = ["blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "token_types.weight", "blk.0.attn_q.bias"]
    tensors = [matrix(name) for name in kept] + [matrix("blk.0.attn_q.weight", 512), matrix("output.weight")]
    assert assigned("q8_0", *tensors) == ["float16"] * 5 + ["q8_0"]


def test_tied_embedding_is_treated_as_the_output() -> None:
    assert assigned("q4_k_m", matrix("token_embd.weight")) == ["q6_k"]
    assert assigned("q4_k_m", matrix("token_embd.weight"), matrix("output.weight")) == ["q4_k", "q6_k"]


def test_rules_do_not_depend_on_the_order_of_tensors() -> None:
    tensors = [matrix(f"blk.{i}.attn_v.weight") for i in reversed(range(8))] + [matrix("output.weight")]
    assert assigned("q4_k_m", *tensors) == ["q6_k", "q6_k", "q4_k", "q4_k", "q6_k", "q4_k", "q4_k", "q6_k", "q6_k"]


def test_eight_experts() -> None:
    model = Shape("llama", layers=4, heads=32, kv_heads=8, experts=8)
    names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_down_exps"]
    tensors = [matrix(f"blk.1.{n}.weight", *((8,) if "exps" in n else ()), 256, 512) for n in names]
    tensors.append(matrix("output.weight"))
    given = {name: [a.format.name for a in Recipe.named(name).assign(model, tensors)] for name in ("q4_k_m", "iq2_xs")}
    assert given["q4_k_m"] == ["q4_k", "q8_0", "q8_0", "q5_k", "q4_k", "q6_k"]
    assert given["iq2_xs"] == ["iq2_xs", "q4_k", "q4_k", "q5_k", "iq2_xs", "q5_k"]


@pytest.mark.parametrize("value", ["many", None, float("nan"), float("inf"), ["x"], [[1]]])
def test_metadata_that_is_not_a_number(value: object) -> None:
    with pytest.raises(FileFormatError, match="llama.attention.head_count to be .*whole number"):
        Shape.of({"general.architecture": "llama", "llama.attention.head_count": value})
