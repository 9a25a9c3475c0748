"""What candidates are measured on, and one candidate measured on all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.errors import UnknownNameError
from bitwright.measure import attribution, noise_floor, suite, windows
from bitwright.measure.kld_file import KldFile
from bitwright.measure.overlap import Overlap
from bitwright.measure.reference import ReferencePredictions, store_reference
from bitwright.measure.rollout import baseline
from bitwright.measure.rollout.compounding import measure_compounding
from bitwright.progress import Stage, silent

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.noise_floor import NoiseFloor
    from bitwright.measure.rollout.baseline import Baseline
    from bitwright.measure.suite import Evaluation, Identity
    from bitwright.measure.windows import Windows
    from bitwright.model.tokenizer import Tokenizer


@dataclass(frozen=True)
class Setting:
    """A text and the reference's predictions of it. `engine`, `floor` and `baseline` are None if the reference is a
    .kld file, which cannot be run again; `baseline` also if texts were left out."""

    text: str
    suite: str
    reference: ReferencePredictions
    overlaps: Sequence[Overlap]
    engine: Engine | None = None
    floor: NoiseFloor | None = None
    baseline: Baseline | None = None


def check_suite(name: str) -> None:
    """UnknownNameError unless `name` is a suite."""
    if name not in suite.CHUNKS:
        raise UnknownNameError("suite", name, suite.CHUNKS)


def against(
    engine: Engine,
    text: str,
    suite_name: str,
    context: int,
    chunks: int | None = None,
    overlaps: Sequence[Overlap] = (),
    stage: Stage = silent,
    accept: Callable[[Windows], object] = lambda cut: None,
    writes: bool = True,
) -> Setting:
    """The reference `engine` reads `text` in chunks of `context` tokens, or its predictions come from the cache; then
    its noise floor, and the texts it writes. `chunks` takes the first ones, None those of the suite, spread out.
    `accept` sees what will be scored before anything runs, and may raise. `writes` False leaves the texts out, and so
    how errors compound over many steps.

    UsageError if the text is too short.
    """
    check_suite(suite_name)
    cut = windows.cut(engine.tokenizer, text, context, chunks or suite.CHUNKS[suite_name], spread_out=chunks is None)
    accept(cut)
    with stage("predicting with the reference") as report:
        store = store_reference(engine, cut, progress=report)
    with stage("measuring the noise floor") as report:
        floor = noise_floor.stored_noise_floor(engine, store, report)
    prompts, steps = baseline.SUITES[suite_name]
    if not writes:
        return Setting(text, suite_name, store, overlaps, engine, floor)
    with stage("writing texts with the reference") as report:
        base = baseline.baseline(engine, baseline.prompts_of(engine.tokenizer, text, prompts), steps, progress=report)
    return Setting(text, suite_name, store, overlaps, engine, floor, base)


def against_kld(
    file: Path, tokenizer: Tokenizer, text: str, suite_name: str, overlaps: Sequence[Overlap] = ()
) -> Setting:
    """The reference is llama-perplexity's file of log-probabilities, which determines which chunks are scored."""
    check_suite(suite_name)
    return Setting(text, suite_name, KldFile(file, tokenizer), overlaps)


def identify(engine: Engine, stage: Stage = silent) -> Identity:
    """The identity of a model file, whose hash takes a moment."""
    with stage(f"reading {engine.path.name}") as report:
        return suite.identity(engine, engine.model.sha256(report))


def evaluate(engine: Engine, setting: Setting, identity: Identity | None = None, stage: Stage = silent) -> Evaluation:
    """One candidate measured in that setting. UsageError if it does not share the reference's tokenizer."""
    identity = identity or identify(engine, stage)
    with stage(f"scoring {engine.path.name}") as report:
        found = suite.evaluate(engine, identity, setting.reference, setting.floor, setting.overlaps, report)
    if setting.baseline is None or setting.engine is None:
        return found
    whole = setting.suite == "full"
    with stage(f"measuring {engine.path.name} over many steps") as report:
        steps = measure_compounding(setting.baseline, engine, free=whole, local=whole, progress=report)
    found = replace(found, compounding=steps)
    if not whole or not attribution.alike(setting.engine.model, engine.model):
        return found
    with stage(f"attributing the error of {engine.path.name}") as report:
        return replace(found, attribution=tuple(attribution.attribute(setting.engine, engine, setting.text, report)))
