"""Measuring models against a reference, for the verbs that do: getting ready, and what a result looks like."""

from __future__ import annotations

import resource
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.cli import compounding, models, options, output
from bitwright.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from bitwright.engine import Model
    from bitwright.measure.noise_floor import NoiseFloor
    from bitwright.measure.overlap import Overlap
    from bitwright.measure.reference import Reference
    from bitwright.measure.rollout.baseline import Baseline
    from bitwright.measure.suite import Evaluation, Identity
    from bitwright.statistics.interval import Interval

KLD = ".kld"


@dataclass(frozen=True)
class Setting:
    """What candidates are measured on. `model`, `floor` and `baseline` are None where the reference is a file of
    llama.cpp's."""

    text: str
    suite: str
    reference: Reference
    model: Model | None
    floor: NoiseFloor | None
    baseline: Baseline | None
    overlaps: list[Overlap]
    threads: int | None
    kv: str

    def about(self, seconds: float) -> dict[str, Any]:
        """What a report says of how it was made."""
        from bitwright import __version__, kernels
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
            "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }


def check_tokens(candidate: str, reference: str) -> None:
    """UsageError where ids mean other text to a model than to its reference, before anything is measured."""
    from bitwright.io import gguf

    if reference.endswith(KLD):
        return
    own, base = (gguf.open(models.resolve(name)) for name in (candidate, reference))
    if own.metadata.get("tokenizer.ggml.tokens") != base.metadata.get("tokenizer.ggml.tokens"):
        raise UsageError(f"{own.path.name} has other tokens than the reference {base.path.name}: they have no "
                         "divergence (compare sets them side by side in bits per byte)")  # fmt: skip


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
    """The reference's predictions of the text in `file`, read where they are kept or else computed, and its floor.

    A .kld file decides itself which chunks are scored; `candidate` then lends its tokenizer. UsageError where the text
    is too short.
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
            raise UsageError("a .kld file holds the chunks that are scored: --chunks goes without it")
        stored = KldFile(Path(reference), models.tokenizer(candidate))
        return Setting(text, suite, stored, None, None, None, overlaps, threads, kv)
    model = models.load(reference, context, threads, kv)
    cut = windows.cut(model.tokenizer, text, context, chunks or CHUNKS[suite], spread_out=chunks is None)
    with output.progress("reading the reference") as report:
        store = references.store(model, cut, progress=report)
    if store.damaged:
        output.remark(f"{store.damaged} damaged chunks in {store.folder} were computed again")
    with output.progress("measuring the noise floor") as report:
        floor = noise_floor.kept(model, store, report)
    prompts, steps = baseline.SUITES[suite]
    with output.progress("letting the reference write") as report:
        base = baseline.baseline(model, baseline.prompts_of(model.tokenizer, text, prompts), steps, progress=report)
    return Setting(text, suite, store, model, floor, base, overlaps, threads, kv)


def identify(model: Model) -> Identity:
    from bitwright.io.checksum import sha256
    from bitwright.measure import suite

    with output.progress(f"reading {model.path.name}") as report:
        return suite.identity(model, sha256(model.file.paths, report))


def evaluate(model: Model, setting: Setting, identity: Identity) -> Evaluation:
    """One candidate in that setting."""
    from bitwright.measure import attribution, suite
    from bitwright.measure.rollout.compounding import measure_compounding

    with output.progress(f"scoring {model.path.name}") as report:
        found = suite.evaluate(model, identity, setting.reference, setting.floor, setting.overlaps, report)
    if setting.baseline is None:
        return found
    whole = setting.suite == "full"
    with output.progress(f"following {model.path.name}") as report:
        steps = measure_compounding(setting.baseline, model, free=whole, local=whole, progress=report)
    found = replace(found, compounding=steps)
    if not whole or setting.model is None or not attribution.alike(setting.model.file, model.file):
        return found
    with output.progress(f"taking {model.path.name} apart") as report:
        return replace(found, attribution=tuple(attribution.attribute(setting.model, model, setting.text, report)))


def show(e: Evaluation, words: list[str], statistics: bool) -> None:
    """The result in words and in a table, then what must be known before believing it."""
    for sentence in words:
        print(sentence)
    print()
    base, own, f = e.base_perplexity.mean, e.perplexity.mean, e.flips
    rows = [
        ("KL divergence", *spread(e.divergence, 5), "nats; " + floors(e)),
        ("same top token", *spread(e.same_top1, 2, 100), "%"),
        ("right to wrong", *spread(f.right_to_wrong, 2, 100), "% of tokens"),
        ("wrong to right", *spread(f.wrong_to_right, 2, 100), "% of tokens"),
        ("perplexity", f"{own:.4f}", "", f"the reference's {base:.4f}"),
        ("  over the reference's", *spread(e.log_perplexity_ratio, 2, 100), "% (logarithm)"),
        ("bits per byte", *spread(e.bits_per_byte, 4), ""),
    ]
    output.print_table([e.candidate.name, ">mean", "95% interval", ""], rows)
    if e.compounding:
        compounding.show(e.compounding)
    for warning in e.warnings:
        print(f"warning: {warning}")
    if statistics:
        show_statistics(e)
    w = e.scores.windows
    output.remark(f"{len(w)} chunks of {w.context} tokens, {w.targets.size} tokens scored, "
                  f"{e.divergence.clusters} {e.divergence.of}")  # fmt: skip


def floors(e: Evaluation) -> str:
    return e.floor.describe(e.divergence) if e.floor else "no noise floor: the reference is a file"


def spread(i: Interval, digits: int, factor: float = 1) -> tuple[str, str]:
    """A mean and its interval, times `factor`, with so many digits."""
    return compounding.spread(i, lambda x: f"{factor * x:.{digits}f}")


def show_statistics(e: Evaluation) -> None:
    """All that llama-perplexity prints, as it prints it."""
    section = ""
    for s in e.statistics:
        if s.section != section:
            section = s.section
            print(f"\n====== {section} statistics ======")
        digits = 3 if s.unit else 6
        error = f" ± {s.error:.{digits}f}" if s.error is not None else ""
        print(f"{s.name:30}: {s.value:10.{digits}f}{error}{' ' + s.unit if s.unit else ''}")
