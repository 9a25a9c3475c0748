"""Every file type's assignment on every real model of llama.cpp's snapshots, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
import snapshots

from bitwright import formats
from bitwright.recipes.recipe import Recipe
from bitwright.recipes.roles import is_quantized


@pytest.fixture(params=list(snapshots.ARCHITECTURES))
def snapshot(request: pytest.FixtureRequest, data: Path) -> Path:
    return data / "quant-type-snapshots" / f"{request.param}.schema"


def test_every_assignment(snapshot: Path) -> None:
    shape, matrices = snapshots.model(snapshot)
    wrong = []
    found = snapshots.sections(snapshot)
    assert len(found) == 33
    for name, (base, differing) in found.items():
        recipe = Recipe.named(name)
        assert recipe.base is formats.get(base), name
        assigned = recipe.assign(shape, matrices)
        got = {a.tensor: a for a in assigned if is_quantized(a.tensor, (2, 2), shape.architecture)}
        assert differing.keys() <= got.keys(), name
        wrong += [
            (name, tensor, differing.get(tensor, base), a.format.name)
            for tensor, a in got.items()
            if a.format is not formats.get(differing.get(tensor, base))
        ]
        for a in got.values():
            assert (a.reason == "") == (a.format is recipe.base), a
    assert not wrong, f"{len(wrong)} wrong (file type, tensor, expected, got): {wrong[:5]}"


def test_model_lists_are_whole(snapshot: Path) -> None:
    """MXFP4_MOE lists every matrix except stacked experts, so a missing or invented one in our lists shows."""
    shape, matrices = snapshots.model(snapshot)
    plain = {m.name for m in matrices if len(m.shape) == 2 and is_quantized(m.name, m.shape, shape.architecture)}
    assert plain == snapshots.sections(snapshot)["mxfp4_moe"][1].keys()


def test_fallbacks_say_so(data: Path) -> None:
    shape, matrices = snapshots.model(data / "quant-type-snapshots/glm-4.6v.schema")
    fallen = {a.tensor: a for a in Recipe.named("q4_k_s").assign(shape, matrices) if a.fallback}
    shared = fallen["blk.1.ffn_down_shexp.weight"]
    assert shared.fallback == "1408 columns are not a multiple of 256 (q5_k): q5_1 instead"
    assert fallen["blk.40.ffn_down_exps.weight"].format is formats.get("q5_0")
    assert all("1408" in a.fallback or "10944" in a.fallback for a in fallen.values())
