"""One tensor's values: what `inspect --tensor NAME --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.io.gguf import TensorInfo
    from bitwright.measure.values import ValueSummary

FIGURES = ("count", "not_finite", "zeros", "minimum", "maximum", "mean", "standard_deviation", "kurtosis")


def tensor(info: TensorInfo, s: ValueSummary) -> dict[str, Any]:
    """name, shape, format, bytes, count, not_finite, zeros, minimum, maximum, mean, standard_deviation, kurtosis,
    outliers[{index, value, deviations}] (the farthest from the mean first; deviations in standard deviations),
    histogram{edges, counts}. None: undefined, as the kurtosis of equal values is."""
    return plain(
        {
            "name": info.name,
            "shape": info.shape,
            "format": info.format.name,
            "bytes": info.nbytes,
            **{name: getattr(s, name) for name in FIGURES},
            "outliers": [vars(o) for o in s.outliers],
            "histogram": {"edges": s.edges, "counts": s.histogram},
        }
    )
