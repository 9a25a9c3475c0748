"""A recipe found for one model, applied to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bitwright import formats, recipes
from bitwright.fit.reuse import reuse
from bitwright.formats import Format
from bitwright.recipes import Pattern, Recipe, Shape

Q4, Q5, Q6, Q8, F16 = (formats.get(name) for name in ("q4_k", "q5_k", "q6_k", "q8_0", "f16"))


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...] = (256, 256)
    format: Format = F16


def model(layers: int, *kinds: str, tied: bool = False, columns: int = 256) -> list[Tensor]:
    whole = ["token_embd.weight", *([] if tied else ["output.weight"])]
    inner = [f"blk.{n}.{kind}.weight" for n in range(layers) for kind in kinds or ("attn_q", "ffn_down")]
    return [Tensor(name, (256, columns)) for name in (*whole, *inner)]


def found_for(layers: int, tied: bool = False) -> Recipe:
    """attn_q in q4_k, ffn_down in q6_k in the first half of the layers and q5_k in the second; the output in q6_k."""
    chosen = {"token_embd.weight": Q4} | ({} if tied else {"output.weight": Q6})
    for n in range(layers):
        chosen |= {f"blk.{n}.attn_q.weight": Q4, f"blk.{n}.ffn_down.weight": Q6 if n < layers / 2 else Q5}
    return Recipe.exact(chosen)


def given(recipe: Recipe, tensors: list[Tensor]) -> dict[str, str]:
    return {a.tensor: a.format.name for a in recipe.assign(Shape("llama", 0), tensors)}


def test_a_model_of_the_same_depth_takes_the_formats_by_name() -> None:
    recipe, tensors = found_for(4), model(4)
    found = reuse(recipe, tensors)
    assert found.remarks == () and given(found.recipe, tensors) == given(recipe, tensors)


@pytest.mark.parametrize("layers", [2, 3, 5, 16])
def test_another_depth_is_mapped_by_relative_depth(layers: int) -> None:
    tensors = model(layers)
    found = reuse(found_for(4), tensors)
    own = given(found.recipe, tensors)
    assert [own[f"blk.{n}.ffn_down.weight"] for n in range(layers)] == [
        "q6_k" if (n + 0.5) / layers <= 0.5 else "q5_k" for n in range(layers)
    ]
    assert {own[f"blk.{n}.attn_q.weight"] for n in range(layers)} == {"q4_k"} and own["output.weight"] == "q6_k"
    assert found.remarks == (f"the recipe's 4 layers are spread over {layers}, by relative depth",)


def test_a_kind_that_some_layers_lack_comes_from_the_nearest_that_has_it() -> None:
    recipe = Recipe.exact({"blk.0.ffn_down.weight": Q4, "blk.7.ffn_down.weight": Q8, "blk.7.attn_q.weight": Q6})
    own = given(reuse(recipe, model(4)).recipe, model(4))
    assert [own[f"blk.{n}.ffn_down.weight"] for n in range(4)] == ["q4_k", "q4_k", "q8_0", "q8_0"]


def test_an_output_that_one_of_them_lacks_is_its_embedding() -> None:
    tied = model(4, tied=True)
    found = reuse(found_for(4), tied)
    assert given(found.recipe, tied)["token_embd.weight"] == "q6_k"
    assert found.remarks == ("token_embd.weight is this model's output too: q6_k",)
    found = reuse(found_for(4, tied=True), model(4))
    assert given(found.recipe, model(4))["output.weight"] == "q4_k"
    assert "output.weight gets the format of the embedding" in found.remarks[0]


def test_tensors_without_a_counterpart_are_named() -> None:
    tensors = model(4, "attn_q", "attn_extra", "ffn_down")
    found = reuse(found_for(4), tensors)
    assert {given(found.recipe, tensors)[f"blk.{n}.attn_extra.weight"] for n in range(4)} == {"q4_k"}
    assert found.remarks == (
        "the recipe has no counterpart of blk.0.attn_extra.weight, blk.1.attn_extra.weight, blk.2.attn_extra.weight "
        "and 1 more: q4_k, its most frequent format",
    )


def test_the_recipes_other_patterns_and_file_type_decide_next() -> None:
    exact = found_for(4).patterns
    tensors = model(8, "attn_q", "attn_extra")
    for recipe in (Recipe((*exact, Pattern("extra", Q8))), Recipe(exact, "q8_0")):
        found = reuse(recipe, tensors)
        assert given(found.recipe, tensors)["blk.7.attn_extra.weight"] == "q8_0" and len(found.remarks) == 1
    written = Recipe((Pattern("attn", Q8),), "q4_0")
    assert reuse(written, tensors).recipe is written


def test_rows_that_blocks_do_not_divide_fall_back() -> None:
    narrow = model(4, columns=96)
    assigned = reuse(found_for(4), narrow).recipe.assign(Shape("llama", 0), narrow)
    assert {a.format.name for a in assigned} == {"q5_0", "q5_1", "q8_0"} and all(a.fallback for a in assigned)


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    """TOML, and llama.cpp's tensor-type file."""
    recipe = found_for(4)
    recipes.save(tmp_path / "found.toml", recipe)
    assert reuse(recipes.load(tmp_path / "found.toml"), model(8)) == reuse(recipe, model(8))
    recipes.write_tensor_types(tmp_path / "types.txt", recipe.patterns)
    assert recipes.read_tensor_types(tmp_path / "types.txt") == recipe.patterns


def test_llama_quantize_gives_the_same_types() -> None:
    """With file type Q8_0, also in builds whose rules decide where a pattern names the type's own format."""
    chosen = {"token_embd.weight": Q4, "output.weight": Q8}
    for n in range(8):
        chosen |= {f"blk.{n}.attn_v.weight": (Q8, Q5)[n % 2], f"blk.{n}.ffn_down.weight": (F16, Q8, Q6)[n % 3]}
    tensors = model(8, "attn_v", "ffn_down")
    wanted = {name: format.name for name, format in chosen.items()}
    patterns = Recipe.exact(chosen).patterns
    for applied in (patterns, [p for p in patterns if p.format is not Q8]):
        assigned = Recipe.named("q8_0").preceded(applied).assign(Shape("llama", 8, 32, 8), tensors)
        assert {a.tensor: a.format.name for a in assigned} == wanted


def test_a_pattern_that_names_one_tensor() -> None:
    for name in ("blk.0.attn_q.weight", "a-b c.weight", "token_embd.weight"):
        assert Pattern.exact(name, Q4).name == name
    for regex in ("attn_q", "^blk.0.attn_q$", r"^blk\.\d+\.x$", r"^(a|b)\.weight$", "^$"):
        assert Pattern(regex, Q4).name is None
