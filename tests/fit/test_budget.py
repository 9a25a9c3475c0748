"""Budgets: what is asked for becomes bytes, exactly those that the file on disk or the engine's memory has."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import synthetic_model

from bitwright import formats
from bitwright.errors import BudgetError, UnknownNameError, UsageError
from bitwright.fit.budget import Ask, Budget, budget, file_bytes, searched
from bitwright.fit.choices import Choices
from bitwright.fit.families import FAMILIES
from bitwright.fit.settings import Settings
from bitwright.hardware import devices
from bitwright.hardware.memory import memory
from bitwright.hardware.plan import capacity
from bitwright.io import gguf, label
from bitwright.model.architectures.outline import Outline, from_gguf
from bitwright.quantizers import quantize
from bitwright.recipes import Recipe, Shape
from bitwright.statistics.interval import Interval

FORMATS = [formats.get(name) for name in ("q4_0", "q5_1", "q8_0", "mxfp4", "iq4_nl", "f16")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    metadata = synthetic_model.metadata_of("llama") | {"general.name": "small"}
    path = tmp_path_factory.mktemp("budget") / "small.f16.gguf"
    return synthetic_model.write(path, metadata, synthetic_model.weights_of(metadata, tied=False), "f16")


@pytest.fixture(scope="module")
def outline(model: Path) -> Outline:
    return from_gguf(gguf.open(model))


def choices(found: Budget) -> Choices:
    tensors = searched(found.outline)
    sizes = np.array([[found.size(t.name, t.shape, f) for f in FORMATS] for t in tensors])
    return Choices(tuple(t.name for t in tensors), tuple(FORMATS), sizes, np.zeros(sizes.shape))


@pytest.mark.parametrize("seed", range(5))
def test_a_budget_counts_the_file_on_disk_to_the_byte(model: Path, outline: Outline, tmp_path: Path, seed: int) -> None:
    """Whatever is chosen: header, padding and the label that is written last are counted."""
    found = budget(outline, Ask(size=10**6))
    options = choices(found)
    rng = random.Random(seed)
    levels = tuple(rng.choice(np.flatnonzero(allowed).tolist()) for allowed in options.allowed)
    chosen = options.chosen(levels)
    quantize(model, Recipe.exact(chosen), tmp_path / "plain.gguf", method="rtn")
    plain = gguf.open(tmp_path / "plain.gguf")
    hashes = dict.fromkeys(("reference", "text", "chunks"), "c" * 64)
    made = label.made(plain, Interval(0.1, (0.08, 0.12), 16, "bootstrap"), 0.9, None, 12.5, 128, 16, hashes, "quick")
    written = label.write(plain, made, tmp_path / "labelled.gguf")
    assert written == (tmp_path / "labelled.gguf").stat().st_size
    assert found.fixed + options.bytes_of(levels) == file_bytes(outline, chosen) == written


def test_statistics_are_named_in_the_file(outline: Outline) -> None:
    named = {"quantize.imatrix.file": gguf.Typed("some.stats.gguf", "string")}
    longer = budget(outline, Ask(size=10**6), named).fixed - budget(outline, Ask(size=10**6)).fixed
    assert 0 <= longer - (8 + 21 + 4 + 8 + 15) < 32


def test_a_size_and_a_match_are_of_the_file(outline: Outline) -> None:
    sized, matched = budget(outline, Ask(size=200_000)), budget(outline, Ask(match=(200_000, "other.gguf")))
    assert sized.total == matched.total == 200_000 and sized.room == matched.room < 200_000
    assert (sized.asked, matched.asked) == ("a file of 200,000 bytes", "the size of other.gguf")


def test_bits_per_weight_are_those_of_all_tensors(outline: Outline, model: Path, tmp_path: Path) -> None:
    found = budget(outline, Ask(bits_per_weight=5.0))
    options = choices(found)
    levels = (0,) * len(options.tensors)  # q4_0
    result = quantize(model, Recipe.exact(options.chosen(levels)), None, dry_run=True)
    own = 8 * (found.fixed + options.bytes_of(levels)) / outline.parameters
    assert own == pytest.approx(result.bits_per_weight, rel=1e-12)
    assert found.total == 5 * outline.parameters // 8


@pytest.mark.parametrize("engine", ["llama.cpp", "bitwright"])
@pytest.mark.parametrize("kv", ["f16", "q8_0"])
def test_memory_holds_cache_and_buffers_too(outline: Outline, engine: str, kv: str) -> None:
    """Buffers are counted for weights that read floats, which take the most; the plan has those of the choice."""
    found = budget(outline, Ask(memory=10**8, context=64, kv=kv, engine=engine))
    options = choices(found)
    looked_up = int(engine == "bitwright")  # the embedding, which stays in the file, counts as one byte
    f16 = (FORMATS.index(formats.get("f16")),) * len(options.tensors)
    for levels in (tuple(i % 3 for i in range(len(options.tensors))), f16):
        assignments = Recipe.exact(options.chosen(levels)).assign(Shape.of(outline.metadata), outline.tensors)
        needed = memory(outline, assignments, 64, kv, engine=engine)
        spare = memory(outline, "f16", 64, kv, engine=engine).compute - needed.compute
        assert found.fixed + options.bytes_of(levels) == needed.total + spare + looked_up
        assert (spare > 0) is (engine == "bitwright" and levels is not f16)
        assert found.plan(assignments) == needed and found.total == 10**8


def test_a_device_has_its_capacity(outline: Outline) -> None:
    (device,) = devices.named(["rtx-3060-12gb"])
    found = budget(outline, Ask(device=device, context=64))
    assert found.total == capacity(device) and device.name in found.asked and "64 tokens" in found.asked


def test_the_smallest_that_loses_no_more_may_take_as_much_as_the_source(outline: Outline) -> None:
    found = budget(outline, Ask(max_kl=0.05))
    assert found.max_kl == 0.05 and found.total == file_bytes(outline, {})


def test_an_impossible_budget_names_the_smallest_that_is_possible(outline: Outline) -> None:
    for ask in (Ask(size=50_000), Ask(memory=33_600_000, context=64), Ask(bits_per_weight=2.0)):
        found = budget(outline, ask)
        options = choices(found)
        least = found.fixed + int(options.bytes.min(where=options.allowed, initial=10**9, axis=1).sum())
        with pytest.raises(BudgetError, match=f"the smallest choice of formats takes {least:,} bytes") as raised:
            found.check(options)
        assert raised.value.exit_code == 3 and found.asked in str(raised.value)
    budget(outline, Ask(size=least + 10**6)).check(options)


def test_blocks_that_do_not_divide_a_row_are_no_choice(outline: Outline) -> None:
    assert budget(outline, Ask(size=10**6)).size("blk.0.attn_q.weight", (64, 64), formats.get("q4_k")) == 0


def test_one_budget_is_given() -> None:
    for parts in ({}, {"size": 10**6, "memory": 10**9}):
        with pytest.raises(UsageError, match="expected one budget: --memory"):
            Ask(**parts)


def test_a_context_longer_than_trained(outline: Outline) -> None:
    with pytest.raises(UsageError, match="--ctx 4096: small was trained on 96 tokens"):
        budget(outline, Ask(memory=10**9, context=4096))
    with pytest.raises(UnknownNameError, match="engine"):
        budget(outline, Ask(memory=10**9, engine="vllm"))


def test_settings_name_a_palette_and_an_objective() -> None:
    assert Settings().palette == tuple(FAMILIES)
    with pytest.raises(UnknownNameError, match="unknown family of formats 'kk'; did you mean k"):
        Settings(palette=("kk",))
    with pytest.raises(UnknownNameError, match="unknown objective"):
        Settings(objective="median")


def test_layers_that_predict_keep_their_formats(tmp_path: Path) -> None:
    metadata = synthetic_model.metadata_of("glm4moe")
    path = synthetic_model.write(tmp_path / "m.gguf", metadata, synthetic_model.weights_of(metadata), "f16")
    names = [tensor.name for tensor in searched(from_gguf(gguf.open(path)))]
    assert "blk.5.ffn_up_exps.weight" in names and not any(name.startswith("blk.6.") for name in names)
