"""A whole fit of a small real model: the file, its size, its label, and that a stopped one continues."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_cpp import LlamaCpp
from reference_forward import log_softmax

import bitwright as bw
from bitwright import formats, recipes
from bitwright.cli import fitting
from bitwright.engine import load
from bitwright.errors import BudgetError, UsageError
from bitwright.fit import finish, known, run
from bitwright.fit.budget import Ask
from bitwright.fit.choices import Choices
from bitwright.fit.objectives import OBJECTIVES
from bitwright.fit.run import fit
from bitwright.fit.scoring import EngineScorer
from bitwright.fit.settings import Fitted, Settings
from bitwright.formats import Format, QuantizedTensor
from bitwright.io import checksum, gguf, label
from bitwright.model.model import load as load_model
from bitwright.progress import silent
from bitwright.quantizers import quantize
from bitwright.quantizers.tensor import quantize_tensor
from tests.fit.conftest import SIZE, statistics_of, with_cache
from tests.fit.searches import Here


def test_the_file_keeps_the_budget_and_says_what_it_lost(fitted: Fitted) -> None:
    file = gguf.open(fitted.output)
    assert fitted.bytes == file.file_bytes == fitted.output.stat().st_size
    assert 0 <= SIZE - fitted.bytes < 500
    written = label.read(file)
    assert written is not None and fitted.measured is not None
    assert written["kl_divergence.mean"] == fitted.measured.divergence.estimate
    assert written["tensors_sha256"] == label.sha256_of_tensors(file)
    assert {a.tensor: a.format for a in fitted.assignments} == {n: t.format for n, t in file.tensors.items()}
    assert bw.load(fitted.output).session().prefill([1, 2, 3]).shape == (512,)


def test_the_front_around_the_file(fitted: Fitted) -> None:
    """The file as it is among others that are predicted: more bytes, less loss."""
    assert fitted.measured is not None and len(fitted.front) == 5
    made = [point for point in fitted.front if point.chosen]
    assert [(p.bytes, p.kl_divergence) for p in made] == [(fitted.bytes, fitted.measured.divergence.estimate)]
    assert [p.bytes for p in fitted.front] == sorted(p.bytes for p in fitted.front)
    losses = [p.kl_divergence for p in fitted.front]
    assert losses == sorted(losses, reverse=True)


def test_llama_cpp_reads_the_file_and_means_the_same(fitted: Fitted, tmp_path: Path) -> None:
    """Greedy texts and log-probabilities, within bounds that hold for other files: in float, with decoded weights, and
    with activations rounded alike, where the last bit of a sum decides how a value is rounded."""
    assert len({a.format for a in fitted.assignments if a.format.bits_per_weight < 16}) > 2
    quantize(fitted.output, "f32", tmp_path / "float32.gguf", threads=1)
    for path, options, bound in ((tmp_path / "float32.gguf", {}, 0.02), (fitted.output, {"activations": "ggml"}, 0.5)):
        engine = load(path, context=128, **options)
        prompts = [engine.tokenizer.encode(text) for text in ("Once upon a time, there was a little", "One day, Lily")]
        texts = LlamaCpp(path, len(prompts), exact_cache=not options).greedy(prompts, 24, 10)
        for prompt, choices in zip(prompts, texts, strict=True):
            tokens = [choice.token for choice in choices]
            ids = prompt + tokens[:-1]
            ours = log_softmax(engine.session().extend(ids, range(len(prompt) - 1, len(ids))).astype(np.float64))
            theirs = np.array([list(choice.log_probabilities.values()) for choice in choices])
            own = np.take_along_axis(ours, np.array([list(choice.log_probabilities) for choice in choices]), 1)
            assert np.sqrt(np.mean((own - theirs) ** 2)) < bound / 2
            assert (ours.max(1) - ours[np.arange(len(tokens)), tokens] <= bound).all()


def test_llama_quantize_gives_every_tensor_its_type(fitted: Fitted, tmp_path: Path) -> None:
    """By the rules of tensor_allows_quantization and llama_tensor_get_type of llama-quant.cpp, with the file type Q8_0:
    the first pattern found in a name decides; a tensor that none names gets Q8_0, unless it is never quantized."""
    types, file, source = tmp_path / "types.txt", gguf.open(fitted.output), gguf.open(fitted.source)
    fitting.keep(fitted, None, types, None)
    patterns = recipes.read_tensor_types(types)
    quantized = {name for name, tensor in file.tensors.items() if len(tensor.shape) > 1 and "_norm.weight" not in name}
    for name, tensor in file.tensors.items():
        named = [p.format for p in patterns if re.search(p.regex, name)]
        assert len(named) == (name in quantized), name
        assert tensor.format == (named[0] if named else source.tensors[name].format), name


def test_it_loses_much_less_than_the_preset_of_its_size(fitted: Fitted, stories260k: Path, tmp_path: Path) -> None:
    preset = tmp_path / "preset.gguf"
    assert quantize(stories260k, "q4_0", preset).bytes == SIZE
    assert fitted.measured is not None
    assert fitted.measured.divergence.estimate < bw.kl_divergence(preset, stories260k).estimate / 3


def test_the_same_again_is_the_same_file_and_reads_the_model_once(
    settings: Settings, fitted: Fitted, stories260k: Path, own_cache: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    read: list[Path] = []
    sha256 = checksum.sha256

    def recorded(paths: Iterable[Path], progress: Any = None) -> str:
        read.extend(own := list(paths))
        return sha256(own, progress)

    monkeypatch.setattr(checksum, "sha256", recorded)
    again = fit(stories260k, Ask(size=SIZE), settings, tmp_path / fitted.output.name)
    assert again.output.read_bytes() == fitted.output.read_bytes()
    assert [path.name for path in read] == [stories260k.name, fitted.output.name]


def test_a_bfloat16_model(settings: Settings, fitted: Fitted, own_cache: None, tmp_path: Path) -> None:
    """With room for most tensors as they are: their bytes are the source's, and the rest loses next to nothing."""
    source, cheap = tmp_path / "source.gguf", replace(settings, palette=("k",), stats=statistics_of(fitted, settings))
    quantize(fitted.source, "bf16", source, threads=1)
    found = fit(source, Ask(bits_per_weight=13.5), cheap, tmp_path / "small.gguf")
    before, after = gguf.open(source), gguf.open(found.output)
    kept = [name for name, tensor in after.tensors.items() if tensor.format.name == "bfloat16"]
    assert 10 < len(kept) < sum(tensor.format.name == "bfloat16" for tensor in before.tensors.values())
    assert all(np.array_equal(after.tensor(name).data, before.tensor(name).data) for name in kept)
    assert found.measured is not None and 0 < found.measured.divergence.estimate < 1e-3
    assert 8 * sum(a.bytes for a in found.assignments) <= 13.5 * found.budget.outline.parameters
    assert bw.load(found.output).session().prefill([1, 2, 3]).shape == (512,)


def test_workers_of_a_cluster_lead_to_the_same_file(
    fitted: Fitted, settings: Settings, stories260k: Path, own_cache: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Some of them die. They share a cache that holds only statistics at first, and each tensor is built once."""
    shutil.copytree(statistics_of(fitted, settings).parent, tmp_path / "cache/statistics")
    with_cache(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(run.Machines, "at", lambda address, threads, told: run.Machines(Here(2, (7, 9, 30)), told))
    again = fit(stories260k, Ask(size=SIZE), replace(settings, ray="auto"), tmp_path / "small.gguf")
    assert again.assignments == fitted.assignments
    assert label.sha256_of_tensors(gguf.open(again.output)) == label.sha256_of_tensors(gguf.open(fitted.output))
    assert again.searched == fitted.searched
    assert again.disk_bytes == fitted.disk_bytes


def test_a_budget_that_cannot_be_met(settings: Settings, stories260k: Path, own_cache: None, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="the smallest choice of formats takes"):
        fit(stories260k, Ask(size=30_000), settings, tmp_path / "small.gguf")
    assert not (tmp_path / "small.gguf").exists()


def test_nothing_is_searched_for_an_output_that_must_not_be_written(
    settings: Settings, stories260k: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no folder"):
        fit(stories260k, Ask(size=SIZE), settings, tmp_path / "missing" / "small.gguf")


def test_an_interrupted_search_writes_the_best_so_far_and_goes_on(
    settings: Settings,
    fitted: Fitted,
    stories260k: Path,
    own_cache: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C in the second scoring after the start; then the same search goes on from what was scored."""
    calls: list[int] = []
    score = EngineScorer.score

    def interrupted(scorer: EngineScorer, candidates: Any, chunks: Any, parent: Any) -> Any:
        calls.append(len(candidates))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(scorer, candidates, chunks, parent)

    monkeypatch.setattr(EngineScorer, "score", interrupted)
    limited = partial(run.Search, generations=2, first=2)
    monkeypatch.setattr(run, "Search", lambda *limits: limited())
    said: list[str] = []
    first = fit(stories260k, Ask(size=SIZE), settings, tmp_path / "small.gguf", told=said.append)
    assert len(said) == 1 and said[0].startswith("stopped searching")
    assert first.interrupted and first.output.exists() and first.measured is not None and first.history is not None
    assert first.bytes <= SIZE and len(first.history["pending"]) > 0
    second = fit(stories260k, Ask(size=SIZE), settings, tmp_path / "small.gguf")
    assert not second.interrupted and second.history is not None and second.history["generation"] == 2
    (tmp_path / "history.json").write_text(json.dumps(second.history))
    assert known.known(gguf.open(stories260k), tmp_path / "history.json")["tried"] == second.history["tried"]
    assert second.history["tried"][0] == first.history["tried"][0]
    whole = fit(stories260k, Ask(size=SIZE), settings, tmp_path / "whole.gguf")
    assert whole.history == second.history and not list(
        (Path(os.environ["BITWRIGHT_CACHE"]) / "searches").glob("*.json")
    )
    best = whole.history["tried"][whole.history["best"]]
    assert whole.searched.estimate == pytest.approx(np.mean(best["scores"] + best["apart"]))


def test_the_smallest_file_that_loses_no_more(
    settings: Settings, stories260k: Path, own_cache: None, tmp_path: Path, fitted: Fitted
) -> None:
    assert fitted.searched is not None
    most = 2 * fitted.searched.estimate
    found = fit(stories260k, Ask(max_kl=most), settings, tmp_path / "small.gguf")
    assert found.searched is not None and found.searched.estimate <= most and found.bytes < fitted.bytes


def test_gains_on_held_out_text_by_each_objective(stories260k: Path, settings: Settings, own_cache: None) -> None:
    engine = finish.original(load_model(stories260k), settings)
    text = finish.held_out(engine, settings, silent, writes=False)
    tensors = {
        name: t.dequantize() for name, t in engine.model.tensors.items() if t.shape[-1] % 32 == 0 < len(t.shape) - 1
    }
    found = tuple(map(formats.get, ("q4_0", "q8_0")))
    choices = Choices(tuple(tensors), found, *np.zeros((2, len(tensors), 2), np.int64))

    def quantized(name: str, format: Format) -> QuantizedTensor:
        return quantize_tensor(tensors[name], format, name=name)

    small, large = ((level,) * len(tensors) for level in range(2))
    gains = finish.gains(engine, choices, quantized, text, small, large)
    assert gains.keys() == OBJECTIVES.keys() and all(
        0.5 < gain.estimate < 1 and gain.above(0.5) for gain in gains.values()
    )
    back = finish.gains(engine, choices, quantized, text, large, small)
    assert back["tail"].estimate == pytest.approx(1 - 1 / (1 - gains["tail"].estimate))
    assert all(gain.ends == (0, 0) for gain in finish.gains(engine, choices, quantized, text, small, small).values())
