"""The shape of layers that keep a state, read from GGUF metadata."""

from __future__ import annotations

from dataclasses import dataclass

from bitwright.io.values import Values
from bitwright.kernels.ops.convolution import TAPS


@dataclass(frozen=True)
class DeltaNet:
    """The shape of a gated delta net, or of a layer of Mamba 2: a convolution over `taps` tokens; `key_heads` queries
    and keys of `key_dim`, and `heads` values of `value_dim`."""

    taps: int
    key_heads: int
    key_dim: int
    heads: int
    value_dim: int

    @classmethod
    def read(cls, values: Values) -> DeltaNet:
        """Of a GGUF file with these values. FileFormatError for sizes that do not fit."""
        heads, width = values.integer("ssm.time_step_rank", low=1), values.integer("ssm.inner_size", low=1)
        found = cls(
            taps=values.integer("ssm.conv_kernel", low=2, high=TAPS),
            key_heads=values.integer("ssm.group_count", low=1),
            key_dim=values.integer("ssm.state_size", low=1),
            heads=heads,
            value_dim=width // heads,
        )
        if width % heads:
            raise values.error("ssm.inner_size", f"a multiple of {heads} heads")
        if heads % found.key_heads:
            raise values.error("ssm.group_count", f"a divisor of {heads} heads")
        return found
