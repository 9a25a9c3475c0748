"""What calibration gathered: what `calibrate --json` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.calibration import ActivationStatistics


def calibration(s: ActivationStatistics, output: Path, context: int, seconds: float) -> dict[str, Any]:
    """output, weights (matrices with importance), chunks, tokens, seconds, moments (matrices with second moments),
    weighting[how their tokens count: plain, gradient, fisher], unreached{weight: [experts that no token reached]}."""
    return plain(
        {
            "output": output,
            "weights": len(s.squares),
            "chunks": s.chunks,
            "tokens": s.chunks * context,
            "seconds": seconds,
            "moments": len(s.moments),
            "weighting": sorted({moment.weighting for moment in s.moments}),
            "unreached": {name: own.unreached for name, own in s.squares.items() if own.unreached},
        }
    )
