"""Measuring models against a reference, with progress: what eval, compare, label and audit share."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.cli import models, options, output
from bitwright.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.noise_floor import NoiseFloor
    from bitwright.measure.overlap import Overlap
    from bitwright.measure.reference import ReferencePredictions
    from bitwright.measure.rollout.baseline import Baseline
    from bitwright.measure.suite import Evaluation, Identity

KLD = ".kld"


@dataclass(frozen=True)
class Setting:
    """What candidates are measured on. `engine`, `floor` and `baseline` are None if the reference is a .kld file."""

    text: str
    suite: str
    reference: ReferencePredictions
    engine: Engine | None
    floor: NoiseFloor | None
    baseline: Baseline | None
    overlaps: list[Overlap]
    threads: int | None
    kv: str

    def about(self, seconds: float) -> dict[str, Any]:
        """How a report was made, as views take it."""
        from bitwright import __version__, kernels, system
        from bitwright.measure.overlap import sha256_of

        return {
            "command": " ".join(["bitwright", *map(shlex.quote, sys.argv[1:])]),
            "bitwright": __version__,
            "tier": kernels.tier(),
            "threads": self.threads or kernels.usable_cores(),
            "kv": self.kv,
            "suite": self.suite,
            "text_sha256": sha256_of(self.text),
            "seconds": seconds,
            "peak_memory_bytes": system.peak_memory_bytes(),
        }


def check_tokens(candidate: str, reference: str) -> None:
    """UsageError if a model and its reference have different tokens, before anything is measured."""
    from bitwright.io import gguf

    if reference.endswith(KLD):
        return
    own, base = (gguf.open(models.resolve(name)) for name in (candidate, reference))
    if own.metadata.get("tokenizer.ggml.tokens") != base.metadata.get("tokenizer.ggml.tokens"):
        raise UsageError(
            f"{own.path.name} and the reference {base.path.name} have different tokens, so no divergence between them "
            "is defined (bitwright compare compares such models in bits per byte)"
        )


def prepare(
    reference: str,
    file: Path,
    suite: str,
    context: int,
    chunks: int | None,
    calibration: list[Path] | None,
    threads: int | None,
    kv: str,
    candidate: str,
) -> Setting:
    """The reference's predictions of the text in `file`, from the cache or computed now, its noise floor and its texts.

    A .kld file determines which chunks are scored, and needs the tokenizer of `candidate`. UsageError if the text is
    too short.
    """
    from bitwright.measure import noise_floor, overlap, windows
    from bitwright.measure import reference as references
    from bitwright.measure.kld_file import KldFile
    from bitwright.measure.rollout import baseline
    from bitwright.measure.suite import CHUNKS

    if suite not in CHUNKS:
        raise UnknownNameError("suite", suite, CHUNKS)
    text = options.read_text(file)
    overlaps = [overlap.overlap(text, options.read_text(path)) for path in calibration or []]
    if reference.endswith(KLD):
        if chunks is not None:
            raise UsageError("a .kld file says which chunks are scored: leave out --chunks")
        stored = KldFile(Path(reference), models.tokenizer(candidate))
        return Setting(text, suite, stored, None, None, None, overlaps, threads, kv)
    model = models.load(reference, context, threads, kv)
    cut = windows.cut(model.tokenizer, text, context, chunks or CHUNKS[suite], spread_out=chunks is None)
    with output.progress("predicting with the reference") as report:
        store = references.store_reference(model, cut, progress=report)
    if store.damaged:
        output.remark(f"recomputed {store.damaged} damaged chunks in {store.folder}")
    with output.progress("measuring the noise floor") as report:
        floor = noise_floor.stored_noise_floor(model, store, report)
    prompts, steps = baseline.SUITES[suite]
    with output.progress("writing texts with the reference") as report:
        base = baseline.baseline(model, baseline.prompts_of(model.tokenizer, text, prompts), steps, progress=report)
    return Setting(text, suite, store, model, floor, base, overlaps, threads, kv)


def identify(engine: Engine) -> Identity:
    """The identity of a model file, whose hash takes a moment."""
    from bitwright.measure import suite

    with output.progress(f"reading {engine.path.name}") as report:
        return suite.identity(engine, engine.model.sha256(report))


def evaluate(engine: Engine, setting: Setting, identity: Identity) -> Evaluation:
    """One candidate measured in that setting."""
    from bitwright.measure import attribution, suite
    from bitwright.measure.rollout.compounding import measure_compounding

    with output.progress(f"scoring {engine.path.name}") as report:
        found = suite.evaluate(engine, identity, setting.reference, setting.floor, setting.overlaps, report)
    if setting.baseline is None:
        return found
    whole = setting.suite == "full"
    with output.progress(f"measuring {engine.path.name} over many steps") as report:
        steps = measure_compounding(setting.baseline, engine, free=whole, local=whole, progress=report)
    found = replace(found, compounding=steps)
    if not whole or setting.engine is None or not attribution.alike(setting.engine.model, engine.model):
        return found
    with output.progress(f"attributing the error of {engine.path.name}") as report:
        return replace(found, attribution=tuple(attribution.attribute(setting.engine, engine, setting.text, report)))


def report_on(
    name: str, reference: str | None, file: Path | None, suite: str, context: int, threads: int | None
) -> tuple[Engine, Evaluation, dict[str, Any]]:
    """A model measured for its label: the model, the evaluation and its view. UsageError if no label can be made."""
    if reference is None or file is None:
        raise UsageError("a label needs the original model and a text: --reference REF -f FILE")
    if reference.endswith(KLD):
        raise UsageError("a label needs a reference that is a model, not a .kld file")
    from bitwright.views.evaluation import evaluation

    started = time.monotonic()
    check_tokens(name, reference)
    setting = prepare(reference, file, suite, context, None, None, threads, "f16", name)
    loaded = models.load(name, context, threads)
    result = evaluate(loaded, setting, identify(loaded))
    return loaded, result, evaluation(result, setting.about(time.monotonic() - started))
