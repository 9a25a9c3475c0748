"""About how long encoding takes, by format and method, for progress and budgets of time."""

from __future__ import annotations

from bitwright.formats import Format

# Seconds of one core of a 2023 server (AVX2) for a million weights by method search.
SEARCH = {
    "q8_0": 0.011, "q6_k": 0.032, "q5_k": 0.041, "q4_k": 0.050, "q3_k": 0.033, "q2_k": 0.064,
    "q5_1": 0.024, "q5_0": 0.026, "q4_1": 0.024, "q4_0": 0.019,
    "iq4_xs": 0.070, "iq4_nl": 0.047, "iq3_s": 0.35, "iq3_xxs": 0.54, "iq2_s": 0.27, "iq2_xs": 0.31, "iq2_xxs": 0.24,
    "iq1_m": 0.80, "iq1_s": 0.80,
    "mxfp4": 0.005, "nvfp4": 0.014, "q2_0": 0.017,
}  # fmt: skip
OTHER = 0.05
COPY = 3e-10  # seconds for a weight that stays as it is and is only checked
FACTOR = 6.2e-12  # times columns³: seconds to factor second moments
GRID = 1.9  # feedback's share in formats whose codes are points of a grid, which are chosen again and again


def seconds(weights: int, columns: int, format: Format | None, rounds: int | None) -> float:
    """The estimate for one core: by method search (rounds None), or by feedback with these rounds of descent, without
    the time to read and factor the second moments, which weights share. format: None for an average one."""
    name = "" if format is None else format.name
    each = SEARCH.get(name, OTHER)
    if rounds is not None:
        each *= GRID if name.startswith(("iq1", "iq2", "iq3")) else 1
        each += 3.3e-5 * columns + rounds * (0.006 + 5.8e-5 * columns)
    return weights * each / 1e6
