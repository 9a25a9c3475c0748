"""Measuring models against a reference, with progress: what eval, compare, label and audit share."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.cli import models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.setting import Setting
    from bitwright.measure.suite import Evaluation
    from bitwright.measure.windows import Windows

KLD = ".kld"


def about(setting: Setting, threads: int | None, kv: str, seconds: float) -> dict[str, Any]:
    """How a report was made, as views take it."""
    from bitwright.measure.overlap import sha256_of

    return about_run(setting.suite, sha256_of(setting.text), threads, kv, seconds)


def about_run(suite: str, text_sha256: str, threads: int | None, kv: str, seconds: float) -> dict[str, Any]:
    """The same for a suite that brings its own text."""
    from bitwright import __version__, kernels, system

    return {
        "command": " ".join(["bitwright", *map(shlex.quote, sys.argv[1:])]),
        "bitwright": __version__,
        "tier": kernels.tier(),
        "threads": threads or kernels.best_threads(),
        "kv": kv,
        "suite": suite,
        "text_sha256": text_sha256,
        "seconds": seconds,
        "peak_memory_bytes": system.peak_memory_bytes(),
    }


def check_tokens(candidate: str, reference: str) -> None:
    """UsageError if a model and its reference have different tokens or one is no model, before anything is measured."""
    from bitwright.io import kinds
    from bitwright.io.values import Values
    from bitwright.model import files as model_files

    if reference.endswith(KLD):
        return
    own, base = (model_files.open(models.resolve(name)) for name in (candidate, reference))
    for file in (own, base):
        kinds.check_model(file)
    ours, theirs = (Values(file.metadata).strings("tokenizer.ggml.tokens", ()) for file in (own, base))
    if ours != theirs:
        raise UsageError(
            f"{own.path.name} and the reference {base.path.name} have different tokens, so no divergence between them "
            "is defined (bitwright compare compares such models in bits per byte)"
        )


def original_among(names: Sequence[str]) -> str:
    """The original of all the others: the only model in floats, if the others have its tensors, shapes and tokens.
    UsageError if the files do not say so."""
    from bitwright.io.values import Values
    from bitwright.model import files as model_files
    from bitwright.quantizers.quantizer import PLAIN

    files = {name: model_files.open(models.resolve(name)) for name in names}
    floats = [name for name, file in files.items() if all(t.format.ggml in PLAIN for t in file.tensors.values())]
    kinds = [
        ({t.name: t.shape for t in file.tensors.values()}, Values(file.metadata).strings("tokenizer.ggml.tokens", ()))
        for file in files.values()
    ]
    if len(floats) != 1 or len(files) == 1 or any(kind != kinds[0] for kind in kinds):
        raise UsageError(
            "compare needs the original to compare with: --reference REF (left out only if one of the given models, "
            "all of the same shapes and tokens, is in floats)"
        )
    output.remark(f"no --reference: comparing with {floats[0]}, the only one in floats")
    return floats[0]


def prepare(
    reference: str,
    file: Path | None,
    suite: str,
    context: int,
    chunks: int | None,
    calibration: list[Path] | None,
    threads: int | None,
    kv: str,
    candidate: str,
    accept: Callable[[Windows], object] = lambda cut: None,
) -> Setting:
    """The reference's predictions of the text in `file` (None: bitwright's own), from the cache or computed now, its
    noise floor and its texts.

    A .kld file determines which chunks are scored, and needs the tokenizer of `candidate`. `accept` sees what a model
    will score before it runs, and may raise. UsageError if the text is too short.
    """
    from bitwright.measure import overlap, setting
    from bitwright.measure.reference import ReferenceStore

    setting.check_suite(suite)
    text = options.measured_text(file)
    overlaps = [overlap.overlap(text, options.read_text(path)) for path in calibration or []]
    if reference.endswith(KLD):
        if chunks is not None:
            raise UsageError("a .kld file says which chunks are scored: leave out --chunks")
        return setting.against_kld(Path(reference), models.tokenizer(candidate), text, suite, overlaps)
    engine = models.load(reference, context, threads, kv)
    found = setting.against(engine, text, suite, context, chunks, overlaps, output.progress, accept)
    if isinstance(found.reference, ReferenceStore) and found.reference.damaged:
        output.remark(f"recomputed {found.reference.damaged} damaged chunks in {found.reference.folder}")
    return found


def sha256_of(reference: str) -> str | None:
    """SHA-256 of the file that `reference` names; None for a .kld file, which is no model."""
    if reference.endswith(KLD):
        return None
    with output.progress(f"reading {reference}") as report:
        return models.open(reference).sha256(report)


def report_on(
    name: str,
    reference: str | None,
    file: Path | None,
    suite: str,
    context: int,
    threads: int | None,
    accept: Callable[[Windows], object],
) -> tuple[Engine, Evaluation, dict[str, Any]]:
    """A model measured for its label: the model, the evaluation and its view. `accept` is as in `prepare`. UsageError
    if no label can be made."""
    if reference is None:
        raise UsageError("a label needs the original model: --reference REF")
    if reference.endswith(KLD):
        raise UsageError("a label needs a reference that is a model, not a .kld file")
    from bitwright.measure.setting import evaluate
    from bitwright.views.evaluation import evaluation

    started = time.monotonic()
    check_tokens(name, reference)
    setting = prepare(reference, file, suite, context, None, None, threads, "f16", name, accept)
    loaded = models.load(name, context, threads)
    result = evaluate(loaded, setting, stage=output.progress)
    return loaded, result, evaluation(result, about(setting, threads, "f16", time.monotonic() - started))
