"""Mamba 2 in the reference forward, which see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from reference_delta_net import convolved
from reference_mixture import silu

if TYPE_CHECKING:
    from reference_forward import Reference


def mamba(r: Reference, x: np.ndarray, layer: int) -> np.ndarray:
    """A layer of Mamba 2 (Dao, Gu 2024), token by token: h = e^(dt A) h + dt B x', y = C h + D x; then a gate, and a
    norm over each group of heads."""
    tokens, inner, heads, groups = len(x), *(r.get(f"ssm.{n}") for n in ("inner_size", "time_step_rank", "group_count"))
    size, width, blk = r.get("ssm.state_size"), inner // heads, f"blk.{layer}"
    both = r.linear(x, f"{blk}.ssm_in")
    z, dt = both[:, :inner], both[:, -heads:]
    mixed, b, c = np.split(convolved(r, both[:, inner:-heads], layer), [inner, inner + groups * size], axis=1)
    mixed, b, c = mixed.reshape(tokens, heads, width), b.reshape(tokens, groups, size), c.reshape(tokens, groups, size)
    dt = r.rounded(np.log(1 + np.exp(r.rounded(dt + r.weight(f"{blk}.ssm_dt.bias")))), 4)
    kept = r.rounded(np.exp(r.rounded(dt * r.weight(f"{blk}.ssm_a")[:, 0])), 2)
    y = np.zeros_like(mixed)
    for head in range(heads):
        state, group = np.zeros((size, width)), head // (heads // groups)
        for t in range(tokens):
            written = np.outer(b[t, group], r.rounded(dt[t, head] * mixed[t, head]))
            state = r.rounded(r.rounded(state * kept[t, head]) + written, 2)
            skipped = r.weight(f"{blk}.ssm_d")[head] * mixed[t, head]
            y[t, head] = r.rounded(r.product(c[t, group], state) + skipped, 2)
    gated = r.rounded(y.reshape(tokens, inner) * silu(z), 4)
    normed = r.norm(gated.reshape(tokens, groups, -1), f"{blk}.ssm_norm.weight")
    return r.linear(normed.reshape(tokens, inner), f"{blk}.ssm_out")
