"""What the pages show besides the model: what the user gave, checked before they open, and what bitwright brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bitwright.errors import UsageError
from bitwright.hardware import devices
from bitwright.model.architectures.outline import from_published, outline
from bitwright.views import machines as view
from bitwright.views.plain import plain

DATA = Path(__file__).parent / "data"
SAMPLE = DATA / "report.json"
OWN = "this"  # the model that the pages are about
SHAPES = (OWN, "qwen3-0.6b", "qwen3-4b", "qwen2.5-coder-7b", "llama-3.1-8b", "gemma-3-12b", "qwen3-14b", "gpt-oss-20b",
          "mistral-small-24b", "qwen3.5-27b", "qwen3-30b-a3b", "llama-3.3-70b", "gpt-oss-120b")  # fmt: skip
EXPECTED = "a report that `bitwright eval --reference R -o FILE.json` or `bitwright compare -o FILE.json` wrote"
KINDS = ("models", "horizon", "kl_divergence")  # a comparison, the horizon suite, an evaluation


def report(path: Path | None) -> dict[str, Any]:
    """report (as `eval` or `compare` wrote it) and sample (whether it is the one that comes with bitwright, because no
    other was given). UsageError for a file that is no report."""
    try:
        found = json.loads((path or SAMPLE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise UsageError(f"{path}: expected {EXPECTED}, but {reason}") from None
    if not isinstance(found, dict) or "headline" not in found or not any(kind in found for kind in KINDS):
        raise UsageError(f"{path}: expected {EXPECTED}, got other JSON")
    return plain({"report": found, "sample": path is None})  # JSON of others may hold NaN


def machines(model: Path, shape: str) -> dict[str, Any]:
    """The view `machines` of a published shape, or of the model itself, on every device."""
    return view.machines(outline(str(model)) if shape == OWN else from_published(shape), devices.devices().values())


def two_models() -> dict[str, Any]:
    """What `compare` said of files of two models of different sizes (data/README.md): bits per byte of one text."""
    found: dict[str, Any] = json.loads((DATA / "two-models.json").read_text(encoding="utf-8"))
    return found
