"""ggml's constant tables, handed to the core once, when a format first needs them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitwright.formats import codebook, grids
from bitwright.formats.grid_points import GRIDS


@cache
def load(core: Any) -> None:
    """Give the core the grids of the IQ formats, the levels of their coordinates and IQ4's 16 values."""
    tables: dict[str, ArrayLike] = {name: grids.grid(name) for name in GRIDS}
    levels = {f"{name}_levels": GRIDS[name].levels for name in ("iq3_xxs", "iq3_s")}
    tables |= levels | {"iq2_levels": (*GRIDS["iq2_s"].levels, 0), "iq4_nl": codebook.VALUES}
    core.set_codebooks({name: _bytes(values) for name, values in tables.items()})


def _bytes(values: ArrayLike) -> NDArray[np.uint8]:
    return np.asarray(values, np.int8).view(np.uint8).reshape(-1)
