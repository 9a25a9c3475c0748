"""A damage label as text for a model card: what `label --card` writes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.io.label import Label


def model_card(label: Label, file: str, report: dict[str, Any]) -> str:
    """Markdown: what quantizing `file` cost, how that was measured, and how to check it. `report`: the view
    `evaluation` the label was made from."""
    heading = ["## What quantizing cost", "", f"`{file}`: {report['headline']}.", ""]
    return "\n".join([*heading, *damage(label, report["reference"]["model"], file)]) + "\n"


def damage(label: Label, reference: str, file: str) -> list[str]:
    """The lines of Markdown with the figures of a label, how they were measured, and how to check them. reference: what
    to call the original."""
    values = label.values
    rows = [
        ("KL divergence, nats", *_spread(values, "kl_divergence", 5)),
        ("same most likely token", f"{100 * values['same_top1']:.1f}%", ""),
        ("tokens until half of the texts differ", _steps(values["half_life"]), ""),
    ]
    notes = [
        f"{values['chunks']} chunks of {values['context']} tokens of a text with SHA-256 `{values['text_sha256']}`."
    ]
    if label.horizon_prompts:
        floor = f"{values['horizon.floor.aligned']:.1f}"
        rows += [
            ("stays with the original, of 32 tokens", *_spread(values, "horizon.aligned", 1)),
            ("the original with itself, computed otherwise", floor, ""),
            ("texts of 32 tokens that are identical", f"{100 * values['horizon.identical']:.1f}%", ""),
            ("KL divergence at the same places, nats", f"{values['horizon.kl_divergence']:.5f}", ""),
        ]
        suite, ids = values["horizon.suite"], values["horizon.ids_sha256"]
        notes.append(f"The last four: {label.horizon_prompts} prompts of `{suite}`, in tokens with SHA-256 `{ids}`.")
    return [
        f"Measured by bitwright {values['bitwright']} against {reference} (SHA-256 `{values['reference_sha256']}`):",
        "",
        "| measure | value | 95% interval |",
        "| --- | ---: | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        *notes,
        "",
        f"The same figures are in the file. `bitwright audit {file} --reference ORIGINAL -f TEXT` checks them.",
    ]


def _spread(values: dict[str, Any], name: str, digits: int) -> tuple[str, str]:
    mean, low, high = (f"{values[f'{name}.{end}']:.{digits}f}" for end in ("mean", "low", "high"))
    return mean, f"{low} to {high}"


def _steps(half_life: float) -> str:
    return "not known" if math.isnan(half_life) else "no text differs" if math.isinf(half_life) else f"{half_life:.0f}"
