"""The damage label of a file that was measured."""

from __future__ import annotations

from bitwright.io import label
from bitwright.io.gguf import GGUF
from bitwright.measure.suite import Evaluation


def label_of(e: Evaluation, file: GGUF, text_sha256: str, suite: str) -> label.Label:
    """The label for `file` from its evaluation on a text. BitwrightError without an interval."""
    windows, steps = e.scores.windows, e.compounding
    return label.made(
        file,
        e.divergence,
        e.same_top1.estimate,
        e.floor.kl_divergence if e.floor else None,
        steps.first_divergence.survival.half_life.estimate if steps else None,
        windows.context,
        len(windows),
        {"reference": e.reference["sha256"], "text": text_sha256, "chunks": windows.sha256},
        suite,
    )
