"""A damage label in a model file: what quantizing it cost, and on which text, so that anyone can check.

"Q4_K_M" alone says little: one file of that name can lose four times as much as another. The label is metadata of the
GGUF file under `bitwright.damage.`; other programs ignore it. It is bound to the weights by a hash of all tensors'
bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bitwright
from bitwright.errors import BitwrightError
from bitwright.io import gguf
from bitwright.io.gguf import GGUF, Metadata, Typed
from bitwright.io.values import MAX_TOKENS, Values
from bitwright.statistics.interval import Interval

PREFIX = "bitwright.damage."
NUMBERS = {
    "kl_divergence.mean": "float64",
    "kl_divergence.low": "float64",
    "kl_divergence.high": "float64",
    "same_top1": "float64",
    "noise_floor": "float64",
    "half_life": "float64",
    "context": "uint32",
    "chunks": "uint32",
}
HORIZON = {  # in labels that were made with the horizon suite; `floor`: the original against itself
    "horizon.aligned.mean": "float64",
    "horizon.aligned.low": "float64",
    "horizon.aligned.high": "float64",
    "horizon.identical": "float64",
    "horizon.kl_divergence": "float64",
    "horizon.floor.aligned": "float64",
    "horizon.prompts": "uint32",
}
HORIZON_HASHES = ("horizon.suite", "horizon.sha256", "horizon.ids_sha256")
OTHER_REFERENCE = "the reference is not the file that the label names"
REPEAT = 0.01  # relative: by how much a repeated divergence may differ, since tiers round differently
HASHES = ("tensors_sha256", "reference_sha256", "text_sha256", "chunks_sha256", "bitwright", "suite")


@dataclass(frozen=True)
class Label:
    """The values of a label. Divergences in nats, `half_life` in tokens until half of greedy texts differ (NaN:
    unknown); hashes of the tensors, the reference's file, the text and the token ids that were scored."""

    values: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def has_interval(self) -> bool:
        """Whether the divergence has an interval."""
        return not math.isnan(self["kl_divergence.low"])

    @property
    def horizon_prompts(self) -> int:
        """How many prompts of the horizon suite the label was measured on; 0 without."""
        return int(self.values.get("horizon.prompts", 0))

    def entries(self) -> dict[str, Typed]:
        """The label as metadata of a file."""
        return {PREFIX + name: Typed(value, (NUMBERS | HORIZON).get(name, "string")) for name, value in
                self.values.items()}  # fmt: skip


def blank(suite: str = "quick") -> Label:
    """A label without figures that takes as many bytes in a file as any made by this bitwright with that suite."""
    numbers: dict[str, Any] = {name: 0.0 if kind == "float64" else 0 for name, kind in NUMBERS.items()}
    return Label(numbers | dict.fromkeys(HASHES, "0" * 64) | {"bitwright": bitwright.__version__, "suite": suite})


def made(
    file: GGUF,
    divergence: Interval,
    same_top1: float,
    noise_floor: float | None,
    half_life: float | None,
    context: int,
    chunks: int,
    hashes: Mapping[str, str],
    suite: str,
) -> Label:
    """The label for `file` from what was measured on so many chunks of `context` tokens. noise_floor, half_life: None
    if they were not; a half-life is infinite if no text differs. hashes: those of the reference, the text and the
    chunks. BitwrightError without an interval, which a label is checked against."""
    if divergence.ends is None:
        raise BitwrightError(f"a label of {file.path.name} needs an interval of its KL divergence, and "
                             f"{divergence.clusters} {divergence.of} are too few for one")  # fmt: skip
    numbers = {
        "kl_divergence.mean": divergence.estimate,
        "kl_divergence.low": divergence.ends[0],
        "kl_divergence.high": divergence.ends[1],
        "same_top1": same_top1,
        "noise_floor": noise_floor,
        "half_life": half_life,
    }
    return Label(
        {name: math.nan if value is None else float(value) for name, value in numbers.items()}
        | {"context": context, "chunks": chunks, "tensors_sha256": sha256_of_tensors(file)}
        | {f"{name}_sha256": hashes[name] for name in ("reference", "text", "chunks")}
        | {"bitwright": bitwright.__version__, "suite": suite}
    )


def with_horizon(label: Label, report: dict[str, Any]) -> Label:
    """The label with what the view `horizon` says. BitwrightError without an interval."""
    whole, suite = report["horizon"]["all"], report["suite"]
    aligned = {f"horizon.aligned.{end}": whole["aligned"][end] for end in ("mean", "low", "high")}
    if aligned["horizon.aligned.low"] is None:
        raise BitwrightError(f"a label needs an interval, and {suite['prompts']} prompts are too few for one")
    numbers = aligned | {
        "horizon.identical": whole["identical"]["mean"],
        "horizon.kl_divergence": whole["kl_divergence"]["mean"],
        "horizon.floor.aligned": whole["floors"][0]["aligned"]["mean"],
    }
    hashes = {
        "horizon.suite": suite["name"],
        "horizon.sha256": suite["sha256"],
        "horizon.ids_sha256": suite["ids_sha256"],
    }
    values = {name: float(value) for name, value in numbers.items()}
    return Label(label.values | values | {"horizon.prompts": suite["prompts"]} | hashes)


def sha256_of_tensors(file: GGUF) -> str:
    """SHA-256 of every tensor's name and bytes, sorted by name; metadata does not affect it."""
    digest = hashlib.sha256()
    for name in sorted(file.tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(file.tensor(name).data).data)
    return digest.hexdigest()


def read(file: GGUF) -> Label | None:
    """The label of an open file, None if it has none; BitwrightError if it is incomplete or of the wrong types."""
    return of(file.metadata)


def of(metadata: Metadata) -> Label | None:
    """The label in a file's metadata, as `read` returns it."""
    found: dict[str, Any] = {key.removeprefix(PREFIX): None for key in metadata if key.startswith(PREFIX)}
    if not found:
        return None
    measured = any(name.startswith("horizon.") for name in found)
    numbers, hashes = NUMBERS | (HORIZON if measured else {}), [*HASHES, *(HORIZON_HASHES if measured else ())]
    missing = [name for name in (*numbers, *hashes) if name not in found]
    if missing:
        raise BitwrightError(f"{metadata.path}: its damage label lacks {', '.join(missing)}")
    values = Values(metadata, prefix=PREFIX.removesuffix("."))
    for name, kind in numbers.items():
        found[name] = values.integer(name, high=MAX_TOKENS) if kind == "uint32" else values.measured(name)
    return Label(found | {name: values.text(name) for name in hashes})


def write(file: GGUF, label: Label, path: Path) -> int:
    """Copy the file with the label in its metadata, replacing any other; returns the bytes written."""
    metadata = {key: value for key, value in file.metadata.typed().items() if not key.startswith(PREFIX)}
    metadata |= label.entries()
    tensors = [(name, info.shape, info.format, lambda name=name: file.tensor(name).data)
               for name, info in file.tensors.items()]  # fmt: skip
    return gguf.write(path, metadata, tensors)


def without_measuring(label: Label | None, file: GGUF, reference_sha256: str | None = None) -> tuple[str, ...]:
    """What is wrong with a file's label that no measurement has to show; the reference counts if its hash is known."""
    if label is None:
        return ("the file has no label (bitwright label writes one)",)
    if sha256_of_tensors(file) != label["tensors_sha256"]:
        return ("the weights are not those that were labelled",)
    if reference_sha256 not in (None, label["reference_sha256"]):
        return (OTHER_REFERENCE,)
    return ()


def audit(label: Label, report: dict[str, Any]) -> tuple[str, ...]:
    """What is wrong with a label, from a new measurement of its file: the reference must be the same, and the
    divergence must repeat on the same chunks, or its interval overlap the label's on others."""
    complaints, k, mean = [], report["kl_divergence"], label["kl_divergence.mean"]
    low, high = (label[f"kl_divergence.{end}"] for end in ("low", "high"))
    if report["reference"]["sha256"] != label["reference_sha256"]:
        complaints.append(OTHER_REFERENCE)
    elif report["chunks_sha256"] == label["chunks_sha256"] and _repeats(k["mean"], mean, report["noise_floor"]):
        return ()
    if k["low"] is None or not label.has_interval:
        complaints.append(f"its KL divergence is {k['mean']:.5f}, the label says {mean:.5f}, and there is too little "
                          "text for intervals")  # fmt: skip
    elif k["high"] < low or k["low"] > high:
        complaints.append(f"its KL divergence is {k['mean']:.5f} ({k['low']:.5f} to {k['high']:.5f}), the label says "
                          f"{mean:.5f} ({low:.5f} to {high:.5f})")  # fmt: skip
    return tuple(complaints)


def audit_horizon(label: Label, report: dict[str, Any]) -> tuple[str, ...]:
    """What is wrong with a label's horizon, from a new measurement on as many prompts (the view `horizon`): the prompts
    must be the same tokens, and the intervals of the aligned tokens overlap."""
    a, suite = report["horizon"]["all"]["aligned"], report["suite"]
    mean, low, high = (label[f"horizon.aligned.{end}"] for end in ("mean", "low", "high"))
    if suite["ids_sha256"] != label["horizon.ids_sha256"]:
        return (f"the prompts of {label['horizon.suite']} were other tokens when the label was made",)
    if a["low"] is None or a["high"] < low or a["low"] > high:
        now = f"{a['mean']:.2f}" if a["low"] is None else f"{a['mean']:.2f} ({a['low']:.2f} to {a['high']:.2f})"
        return (f"it stays with the original for {now} tokens, the label says {mean:.2f} ({low:.2f} to {high:.2f})",)
    return ()


def _repeats(mean: float, claimed: float, floor: dict[str, Any] | None) -> bool:
    """Whether two divergences on the same tokens agree; another machine rounds differently."""
    return math.isclose(mean, claimed, rel_tol=REPEAT, abs_tol=floor["kl_divergence"] if floor else 0.0)
