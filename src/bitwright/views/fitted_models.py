"""Several models fitted to one budget, and which of them to keep: what `fit A B --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bitwright.views.fit import fitted
from bitwright.views.intervals import of_interval
from bitwright.views.numbers import human_bytes, human_count
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from bitwright.fit.models import Decision, Entrant
    from bitwright.fit.settings import Fitted
    from bitwright.statistics.interval import Interval


def several(found: Sequence[Fitted], decision: Decision, refused: Sequence[str] = ()) -> dict[str, Any]:
    """chosen (the model), kind, headline, words, models[{name, parameters, bits_per_weight, memory_bytes,
    bits_per_byte, behind}] (the chosen first; behind: how many more bits per byte than the chosen), refused (why models
    do not fit), and result, the view `fitted` of the chosen."""
    d = decision
    best = next(f for f in found if f.source.name == d.chosen.name)
    rows = [_row(d.chosen, None), *(_row(e, behind) for e, behind in zip(d.others, d.behind, strict=True))]
    return plain({"chosen": d.chosen.name, "kind": d.kind, "headline": headline(d), "words": words(d), "models": rows,
                  "refused": list(refused), "result": fitted(best)})  # fmt: skip


def _row(e: Entrant, behind: Interval | None) -> dict[str, Any]:
    return {"name": e.name, "parameters": e.parameters, "bits_per_weight": e.bits_per_weight, "memory_bytes": e.memory,
            "bits_per_byte": of_interval(e.bits_per_byte), "behind": behind and of_interval(behind)}  # fmt: skip


def headline(d: Decision) -> str:
    """Which model to keep, and why, in one sentence without a full stop."""
    if not d.others:
        return f"{d.chosen.name} is the only one that fits"
    if d.tied:
        return f"{d.chosen.name} takes the least memory of models that cannot be told apart on this text"
    return f"{d.chosen.name} is the best of {1 + len(d.others)}: {d.kind}"


def words(d: Decision) -> list[str]:
    """What each model needs, the chosen first."""
    found = [f"{_described(d.chosen)} needs {d.chosen.bits_per_byte.estimate:.4f} bits per byte of text."]
    for e, behind in zip(d.others, d.behind, strict=True):
        said = f"{_described(e)} needs {abs(behind.estimate):.4f} {'more' if behind.estimate >= 0 else 'fewer'}"
        if behind.ends is None:
            found.append(f"{said}; too little text for an interval.")
        elif e.name in d.tied:
            found.append(f"{said} ({behind.ends[0]:+.4f} to {behind.ends[1]:+.4f}): no difference can be told.")
        else:
            found.append(f"{said} ({behind.ends[0]:.4f} to {behind.ends[1]:.4f}).")
    return found


def _described(e: Entrant) -> str:
    size = f"{human_count(e.parameters)} weights of {e.bits_per_weight:.2f} bits"
    return f"{e.name} ({size}, {human_bytes(e.memory)} of memory)"
