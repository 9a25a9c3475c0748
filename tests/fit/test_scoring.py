"""The engine's scores: equal to the bit to running whole candidates alone, whatever was scored before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_model import CONTEXT, VOCABULARY, metadata_of, weights_of, write

from bitwright import formats
from bitwright.engine.engine import Engine, RunOptions
from bitwright.errors import BitwrightError, UnknownNameError, UsageError
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.objectives import OBJECTIVES
from bitwright.fit.predictions import condense
from bitwright.fit.programs import first_layers
from bitwright.fit.recent import Recent
from bitwright.fit.scoring import EngineScorer
from bitwright.formats import Format, QuantizedTensor
from bitwright.kernels.sharing import Sharing
from bitwright.measure.softmax import log_probabilities
from bitwright.model.model import load
from bitwright.quantizers.tensor import quantize_tensor

LAYERS = 4
FORMATS = tuple(formats.get(name) for name in ("q4_0", "q8_0", "iq4_nl"))
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (3, 48)).astype(np.int32)


def engine_of(folder: Path, tied: bool = True, architecture: str = "llama", threads: int = 1) -> Engine:
    metadata = metadata_of(architecture, block_count=LAYERS)
    path = write(folder / f"{architecture}-{tied}.gguf", metadata, weights_of(metadata, tied=tied))
    return Engine(load(path), RunOptions(context=CONTEXT, threads=threads))


def choices_of(engine: Engine) -> Choices:
    names = tuple(name for name, tensor in engine.model.tensors.items() if len(tensor.shape) == 2)
    order = first_layers(engine.model.step)
    names = tuple(sorted(names, key=order.__getitem__))
    shape = len(names), len(FORMATS)
    return Choices(names, FORMATS, np.ones(shape, np.int64), np.zeros(shape))


class Palette:
    """Tensors quantized anew at each request, as many as were asked for."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.made = engine, 0

    def __call__(self, name: str, format: Format) -> QuantizedTensor:
        self.made += 1
        return quantize_tensor(self.engine.model.tensors[name].dequantize(), format, name=name, method="rtn")


def scorer_of(engine: Engine, folder: Path, **options: object) -> EngineScorer:
    return EngineScorer(engine, Palette(engine), choices_of(engine), TOKENS, folder=folder, **options)  # type: ignore[arg-type]


def whole_logits(engine: Engine, choices: Choices, levels: Levels, chunk: int) -> np.ndarray:
    """A candidate's logits from a fresh engine over all its tensors."""
    chosen, palette = choices.chosen(levels), Palette(engine)
    tensors = {**engine.model.tensors, **{name: palette(name, format) for name, format in chosen.items()}}
    session = Engine(engine.model.with_tensors(tensors), engine.options).session()
    return session.logits(TOKENS[chunk])[len(TOKENS[0]) // 8 :]


def switched(choices: Choices, parent: Levels, *names: str) -> Levels:
    """The parent with other formats for tensors whose name starts so."""
    return tuple(
        (level + 1) % len(FORMATS) if name.startswith(names) else level
        for name, level in zip(choices.tensors, parent, strict=True)
    )


PLACES = [
    ("token_embd",), ("blk.0.attn_q",), ("blk.1.ffn_down",), (f"blk.{LAYERS - 1}.attn_v",), ("output.",),
    ("blk.1.attn_k", "blk.3.ffn_up"), ("blk.",), (), ("blk.3.ffn_gate", "output."),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "tied"), [("llama", False), ("gemma3", True)])
def test_scores_equal_whole_runs_to_the_bit_in_any_order(tmp_path: Path, architecture: str, tied: bool) -> None:
    engine = engine_of(tmp_path, tied, architecture)
    scorer = scorer_of(engine, tmp_path / "reference")
    choices = scorer.choices
    parent = (0,) * len(choices.tensors)
    candidates = [switched(choices, parent, *names) for names in PLACES]
    one = Sharing(1)
    expected = np.array([[
        scorer.predictions[[chunk]][0].compare(whole_logits(engine, choices, own, chunk), one)[0].mean()
        for chunk in range(3)] for own in candidates])  # fmt: skip
    assert np.array_equal(scorer.score(candidates, [0, 1, 2], parent), expected)
    assert np.array_equal(scorer.score(candidates[::-1], [2, 0], candidates[4]), expected[::-1, [2, 0]])
    assert np.array_equal(scorer.score(candidates[:3], [1], parent), expected[:3, [1]])
    assert len(np.unique(expected)) >= 3 * (len(PLACES) - 1 - tied)  # every switch mattered


def test_threads_do_not_change_scores(tmp_path: Path) -> None:
    found = []
    for threads in (1, 2):
        scorer = scorer_of(engine_of(tmp_path, threads=threads), tmp_path / "reference")
        parent = (0,) * len(scorer.choices.tensors)
        found.append(scorer.score([parent, switched(scorer.choices, parent, "blk.2")], [0, 1], parent))
    assert np.array_equal(*found)


def test_a_divergence_equals_its_definition(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    scorer = scorer_of(engine, tmp_path / "reference")
    levels = (0,) * len(scorer.choices.tensors)
    base = engine.session().logits(TOKENS[0])[6:]
    pairs = list(zip(base, whole_logits(engine, scorer.choices, levels, 0), strict=True))
    log_p, log_q = (np.array([log_probabilities(pair[i]) for pair in pairs]) for i in (0, 1))
    direct = (np.exp(log_p) * (log_p - log_q)).sum(1).mean()
    assert scorer.score([levels], [0], levels)[0, 0] == pytest.approx(direct, rel=1e-5)
    assert direct > 1e-3


def test_a_divergence_from_sampled_tails_is_close() -> None:
    """The likeliest 16 of 2000 tokens hold a third of the mass; a sample of 16 stands for the others."""
    random, rows = np.random.default_rng(1), 400
    base = (2 * random.standard_normal((rows, 2000))).astype(np.float32)
    logits = base + (0.1 * random.standard_normal(base.shape)).astype(np.float32)
    kept = condense(base, [7], Sharing(1), kept=16)
    assert kept.ids.shape == (rows, 32)
    assert kept.rest.mean() > 0.5
    whole = condense(base, [7], Sharing(1), kept=1000)
    exact, same = whole.compare(logits, Sharing(1))
    estimated, same_too = kept.compare(logits, Sharing(2))
    assert whole.ids.shape == (rows, 2000)
    assert np.array_equal(same, same_too)
    assert estimated.mean() == pytest.approx(exact.mean(), rel=0.1)
    assert (estimated >= -1e-6).all()
    assert np.abs(kept.compare(base, Sharing(1))[0]).max() < 1e-5  # of the reference from itself


def test_logits_that_are_no_numbers_are_an_error() -> None:
    base = condense(np.zeros((2, 9), np.float32), [0], Sharing(1))
    with pytest.raises(BitwrightError, match="computed nan as a logit"):
        base.compare(np.full((2, 9), np.nan, np.float32), Sharing(1))


def test_predictions_are_computed_once_and_again_where_damaged(tmp_path: Path) -> None:
    engine, folder = engine_of(tmp_path), tmp_path / "reference"
    first = scorer_of(engine, folder)
    first.prepare()
    files = sorted(folder.iterdir())
    assert len(files) == len(TOKENS)
    times = [file.stat().st_mtime_ns for file in files]
    files[1].write_bytes(files[1].read_bytes()[:-40])
    again = scorer_of(engine, folder)
    again.prepare()
    changed = [file.stat().st_mtime_ns != time for file, time in zip(files, times, strict=True)]
    assert sorted(folder.iterdir()) == files
    assert changed == [False, True, False]
    levels = (0,) * len(first.choices.tensors)
    assert np.array_equal(first.score([levels], [0, 1, 2], levels), again.score([levels], [0, 1, 2], levels))


def test_what_is_kept_stays_within_its_bounds(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    size = TOKENS.shape[1] * engine.config.width * 4
    small = scorer_of(engine, tmp_path / "reference", keep_inputs=4 * size, keep_weights=20000)
    large = scorer_of(engine, tmp_path / "reference")
    parent = (0,) * len(large.choices.tensors)
    candidates = [switched(large.choices, parent, *names) for names in PLACES]
    for own in (parent, candidates[2], parent):
        expected = large.score(candidates, [0, 1, 2], own)
        assert np.array_equal(small.score(candidates, [0, 1, 2], own), expected)
        assert small._inputs.bytes <= 4 * size
        assert small.programs._held.bytes <= 20000
    assert small.programs.bank.bytes < large.programs.bank.bytes


def test_switching_back_packs_nothing(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    palette, choices = Palette(engine), choices_of(engine)
    scorer = EngineScorer(engine, palette, choices, TOKENS, folder=tmp_path / "reference")
    parent = (0,) * len(choices.tensors)
    child = switched(choices, parent, "blk.2")
    scorer.score([child], [0], parent)
    assert palette.made == len(parent) + 7
    scorer.score([parent, child], [0], child)
    scorer.score([child], [0], parent)
    assert palette.made == len(parent) + 7


def test_recent_values_stay() -> None:
    held = Recent[str, int](10)
    for name in "abc":
        held.put(name, ord(name), 4)
    assert held.get("a") is None
    held.get("b")
    held.put("d", 4, 4)
    assert (held.get("c"), held.get("b"), held.bytes) == (None, ord("b"), 8)
    held.put("e", 5, 99)  # larger than the bound: the one added last always stays
    assert (len(held), held.get("e")) == (1, 5)


def test_objectives() -> None:
    divergences = np.arange(40) / 10
    same = np.ones(40, bool)
    assert OBJECTIVES["mean"](divergences, same) == divergences.mean()
    assert OBJECTIVES["tail"](divergences[::-1], same) == pytest.approx(3.85)  # of 3.8 and 3.9
    assert OBJECTIVES["tail"](divergences[:3], same[:3]) == 0.2
    assert OBJECTIVES["divergence"](divergences, same) == 0
    assert OBJECTIVES["divergence"](divergences, ~same) == 1
    # starts at 0 to 3 read 2, 1, 2, 1 tokens to a divergence; one start is left at the end, after one token
    assert OBJECTIVES["divergence"](divergences[:5], np.array([1, 0, 1, 0, 1], bool)) == pytest.approx(4 / 7)


def test_each_objective_is_scored(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    scorers = {name: scorer_of(engine, tmp_path / "reference", objective=name) for name in OBJECTIVES}
    parent = (0,) * len(scorers["mean"].choices.tensors)
    found = {name: scorer.score([parent], [0, 2], parent) for name, scorer in scorers.items()}
    assert (found["tail"] > found["mean"]).all()
    assert ((found["divergence"] > 0) & (found["divergence"] < 1)).all()
    together = scorers["mean"].score_all([parent], [0, 2], parent)
    assert all(np.array_equal(together[name], found[name]) for name in OBJECTIVES)


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    with pytest.raises(UnknownNameError, match="objective"):
        scorer_of(engine, tmp_path, objective="median")
    choices = Choices(("absent",), FORMATS, np.ones((1, 3), np.int64), np.zeros((1, 3)))
    with pytest.raises(UsageError, match="expected a tensor absent"):
        EngineScorer(engine, Palette(engine), choices, TOKENS)
    with pytest.raises(UsageError, match="chunks of 1 to 96 tokens"):
        EngineScorer(engine, Palette(engine), choices_of(engine), np.zeros((2, 97), np.int32))
