"""The result of quantizing a file: what `quantize --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.quantizers import QuantizeResult


def quantized(r: QuantizeResult) -> dict[str, Any]:
    """output (None after a dry run), bytes (of the file), bits_per_weight, recipe[{tensor, format, bytes, reason,
    method}], seconds."""
    return plain(
        {
            "output": r.output,
            "bytes": r.bytes,
            "bits_per_weight": r.bits_per_weight,
            "recipe": [
                {"tensor": a.tensor, "format": a.format.name, "bytes": a.bytes, "reason": a.reason, "method": method}
                for a, method in zip(r.assignments, r.methods, strict=True)
            ],
            "seconds": r.seconds,
        }
    )
