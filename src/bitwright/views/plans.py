"""Tasks of many steps in which a wrong one is carried on: two models, each reading its own answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bitwright.measure.chains.chain import Chain
from bitwright.measure.chains.families import FAMILIES
from bitwright.measure.chains.running import FreeRun, run_free

if TYPE_CHECKING:
    from bitwright.engine import Engine

LEVEL, STEPS, CHAINS = 1, 8, 5
SHOWN = ("running sum", "variables", "grid")

Runs = Mapping[str, Sequence[FreeRun]]


def chains(name: str) -> list[Chain]:
    """The chains of a family."""
    return FAMILIES[name].chains(LEVEL, STEPS, CHAINS, seed=0)


def run(engine: Engine) -> Runs:
    """A model on the chains of every family, reading its own answers."""
    return {name: run_free(engine, FAMILIES[name].prefix(LEVEL), chains(name)) for name in SHOWN}


def plans(reference: Runs, candidate: Runs) -> list[dict[str, Any]]:
    """For each family: name, task, chains (how many), reference_right and candidate_right (those without a wrong step),
    example (the chain in which the candidate goes wrong longest before the reference does; else one where neither
    does, if there is one, else the first){opening, rows[{right (the answer on the right path), reference and
    candidate{given, said, right (by its own premises; None if they leave nothing to judge), on_path (whether the answer
    is that of the right path)}}]}."""
    return [_family(name, reference[name], candidate[name]) for name in SHOWN]


def _family(name: str, reference: Sequence[FreeRun], candidate: Sequence[FreeRun]) -> dict[str, Any]:
    made = chains(name)
    pairs = list(zip(reference, candidate, strict=True))
    telling = max(range(len(made)), key=lambda n: _telling(*pairs[n]))
    chain, (ours, theirs) = made[telling], pairs[telling]
    rows = []
    for k, (step, answer) in enumerate(chain.worked()):
        own, other = (_said(chain, run, k, step.answers) for run in (ours, theirs))
        rows.append({"right": answer, "reference": own, "candidate": other})
    return {
        "name": name,
        "task": FAMILIES[name].task,
        "chains": len(made),
        "reference_right": sum(run.first_wrong is None for run in reference),
        "candidate_right": sum(run.first_wrong is None for run in candidate),
        "example": {"opening": chain.opening, "rows": rows},
    }


def _telling(ours: FreeRun, theirs: FreeRun) -> tuple[int, int, int]:
    """How well a chain shows what a wrong step does: the original gets further, more follows, the error is not the very
    first."""
    most = len(ours.said) + 1
    own, other = ours.first_wrong or most, theirs.first_wrong or most
    return (own - other if other > 1 else 0), own, -other


def _said(chain: Chain, run: FreeRun, k: int, path: Sequence[str]) -> dict[str, Any]:
    return {"given": chain.rule(k, run.said[:k]).given, "said": run.said[k], "right": run.right[k],
            "on_path": run.said[k] in path}  # fmt: skip
