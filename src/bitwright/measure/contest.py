"""Several models measured in one setting and compared, one in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
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
    """Score all candidates, then time them. `load` opens one by name, with the setting's context. `chunks` is as in
    `setting.against`, and `seen` is called with each model that was evaluated while it is in memory.

    UsageError if the reference cannot be run.
    """
    if ground.engine is None:
        raise UsageError("models are compared with a reference that is a model, not a .kld file")
    found: list[tuple[str, Contender]] = []
    same = True  # all are quantizations of one model
    most, context = chunks or suite.CHUNKS[ground.suite], ground.reference.windows.context
    for name in candidates:
        engine = load(name)
        identity = setting.identify(engine, stage)
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


def _timed(found: Sequence[tuple[str, Contender]], load: Callable[[str], Engine], stage: Stage) -> list[Contender]:
    """With decoding speeds: every model is loaded again in each turn."""
    seconds: dict[str, list[float]] = {name: [] for name, _ in found}
    with stage("timing") as report:
        for turn in range(TURNS):
            for done, name in enumerate(seconds):
                seconds[name] += comparison.seconds_per_token(load(name))
                report(turn * len(seconds) + done + 1, TURNS * len(seconds), name)
    return [replace(contender, speed=comparison.tokens_per_second(seconds[name])) for name, contender in found]
