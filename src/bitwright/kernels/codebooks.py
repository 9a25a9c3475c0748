"""ggml's constant tables, taken from the `gguf` package and handed to the core once, when a format first needs them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@cache
def load(core: Any) -> None:
    """Gives the core the grids of the IQ formats and IQ4's sixteen values."""
    from gguf import quants

    core.set_codebooks(
        {
            "iq4_nl": _bytes(quants.IQ4_NL.kvalues),
            "iq2_xxs": _grid(quants.IQ2_XXS),
            "iq2_xs": _grid(quants.IQ2_XS),
            "iq2_s": _grid(quants.IQ2_S),
            "iq3_xxs": _grid(quants.IQ3_XXS),
            "iq3_s": _grid(quants.IQ3_S),
            "iq1": _grid(quants.IQ1_S),
            "iq2_levels": _bytes((*quants.IQ2_XXS.grid_map, 0)),
            "iq3_xxs_levels": _bytes(quants.IQ3_XXS.grid_map),
            "iq3_s_levels": _bytes(quants.IQ3_S.grid_map),
        }
    )


def _grid(format: Any) -> NDArray[np.uint8]:
    format.init_grid()
    return _bytes(format.grid)


def _bytes(values: Any) -> NDArray[np.uint8]:
    return np.asarray(values, np.float32).astype(np.int8).view(np.uint8).reshape(-1)
