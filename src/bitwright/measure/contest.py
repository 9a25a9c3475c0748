"""Several models measured in one setting and compared, one in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright.errors import UsageError
from bitwright.measure import comparison, setting, suite, windows
from bitwright.progress import Stage, silent

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.comparison import Comparison, Contender
    from bitwright.measure.setting import Setting
    from bitwright.measure.suite import Evaluation

TURNS = 2  # of timing, because the speed of a shared machine drifts


def contest(
    candidates: Sequence[str],
    load: Callable[[str], Engine],
    ground: Setting,
    chunks: int | None = None,
    stage: Stage = silent,
    seen: Callable[[Engine, Evaluation], object] | None = None,
) -> Comparison:
    """Score all candidates, then time them and the reference, which takes part. `load` opens one by name, with the
    setting's context. `chunks` is as in `setting.against`, and `seen` is called with each model that was evaluated
    while it is in memory.

    UsageError if the reference cannot be run.
    """
    if ground.engine is None:
        raise UsageError("models are compared with a reference that is a model, not a .kld file")
    found = [_reference(ground, ground.engine)]
    same = True  # all are quantizations of one model
    most, context = chunks or suite.CHUNKS[ground.suite], ground.reference.windows.context
    for name in dict.fromkeys(candidates):
        engine = load(name)
        if engine.path.samefile(ground.engine.path):
            continue
        identity = setting.identify(engine, stage)
        identity = replace(identity, name=_unlike([c.identity.name for _, c in found], engine.path))
        own = windows.cut(engine.tokenizer, ground.text, context, most, spread_out=chunks is None)
        shares = own.sha256 == ground.reference.windows.sha256
        shares &= engine.config.vocabulary == ground.reference.vocabulary
        same &= shares and suite.parameters(engine) == suite.parameters(ground.engine)
        evaluation = setting.evaluate(engine, ground, identity, stage) if shares else None
        if evaluation is not None and seen is not None:
            seen(engine, evaluation)
        with stage(f"scoring {identity.name}"):
            found.append((name, comparison.contender(engine, identity, evaluation, own)))
    return comparison.compare(_timed(found, load, stage), comparison.DIVERGENCE if same else comparison.BITS)


def _reference(ground: Setting, engine: Engine) -> tuple[str, Contender]:
    """The reference, and the name by which it is loaded."""
    identity = suite.identity(engine, ground.reference.about["sha256"])
    itself = suite.of_itself(identity, ground.reference, ground.floor)
    contender = comparison.contender(engine, identity, itself, ground.reference.windows)
    return str(engine.path), replace(contender, is_reference=True)


def _unlike(taken: Sequence[str], path: Path) -> str:
    """The shortest end of a path that is not among `taken`."""
    parts = path.parts
    names = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next((name for name in names if name not in taken), str(path))


def _timed(found: Sequence[tuple[str, Contender]], load: Callable[[str], Engine], stage: Stage) -> list[Contender]:
    """With decoding speeds: every model is loaded again in each turn."""
    seconds: dict[str, list[float]] = {name: [] for name, _ in found}
    with stage("timing") as report:
        for turn in range(TURNS):
            for done, name in enumerate(seconds):
                seconds[name] += comparison.seconds_per_token(load(name))
                report(turn * len(seconds) + done + 1, TURNS * len(seconds), name)
    return [replace(contender, speeds=tuple(1 / s for s in seconds[name])) for name, contender in found]
