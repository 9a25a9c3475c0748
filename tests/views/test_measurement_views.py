"""The views of measurements keep their keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from views.keys import check

from bitwright import quantizers
from bitwright.bench import speed
from bitwright.bench.profile import profile as profiled
from bitwright.engine import Engine, load
from bitwright.measure import attribution, comparison, noise_floor, overlap, reference, suite, windows
from bitwright.measure.chains.running import TeacherForced
from bitwright.measure.chains.scoring import ChainScore
from bitwright.measure.perplexity import perplexity
from bitwright.measure.reference import ReferenceStore
from bitwright.measure.rollout import baseline
from bitwright.measure.rollout.compounding import measure_compounding
from bitwright.measure.suite import Evaluation
from bitwright.measure.tasks.scores import TaskScore
from bitwright.views import bench, heat, profile, tasks
from bitwright.views import comparison as comparisons
from bitwright.views import evaluation as evaluations
from bitwright.views import perplexity as perplexities

INTERVAL = "mean low high clusters of confidence method"
ESTIMATE = "value low high clusters"
SURVIVAL = "median low high survival band hazard restricted_mean rate half_life runs events censored horizon"
EVALUATION = "headline standing model reference tokens_scored context chunks documents chunks_sha256 perplexity " \
             "base_perplexity log_perplexity_ratio kl_divergence same_top1 same_top1_interval flips bits_per_byte " \
             "noise_floor statistics calibration_overlap calibration attribution warnings bootstrap first_divergence " \
             "sampled_first_divergence sequence_kl local_error free_running rollout"  # fmt: skip
IDENTITY = "name sha256 file_bytes bits_per_weight"
CONTEXT = 64


@pytest.fixture(scope="module")
def text(data: Path) -> str:
    return (data / "text/tinystories/tiny.utf8").read_text()


@pytest.fixture(scope="module")
def engine(stories260k: Path) -> Engine:
    return load(stories260k, context=CONTEXT)


@pytest.fixture(scope="module")
def small(stories260k: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("models") / "q4_0.gguf"
    quantizers.quantize(stories260k, "q4_0", path)
    return load(path, context=CONTEXT)


@pytest.fixture(scope="module")
def store(engine: Engine, text: str, tmp_path_factory: pytest.TempPathFactory) -> ReferenceStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return reference.store_reference(engine, windows.cut(engine.tokenizer, text, CONTEXT, 10, spread_out=True))


@pytest.fixture(scope="module")
def evaluated(engine: Engine, small: Engine, store: ReferenceStore, text: str) -> Evaluation:
    """Everything that `eval --suite full` measures, on a short text."""
    floor = noise_floor.measure_noise_floor(engine, store.windows)
    overlaps = [overlap.overlap(text, text[:2000])]
    found = suite.evaluate(small, suite.identity(small, "0" * 64), store, floor, overlaps)
    base = baseline.baseline(engine, baseline.prompts_of(engine.tokenizer, text, 12), 24)
    parts = tuple(attribution.attribute(engine, small, text))
    return replace(found, compounding=measure_compounding(base, small), attribution=parts)


def test_evaluation(evaluated: Evaluation) -> None:
    found = evaluations.evaluation(evaluated, {"seconds": 1.0})
    check(found, EVALUATION + " words about")
    check(
        found,
        {
            "model": IDENTITY,
            "perplexity": "mean standard_error",
            "base_perplexity": "mean standard_error",
            "log_perplexity_ratio": INTERVAL,
            "kl_divergence": INTERVAL + " median p99 max quantiles storage_error",
            "same_top1_interval": INTERVAL,
            "flips": {"changed": INTERVAL, "right_to_wrong": INTERVAL, "wrong_to_right": INTERVAL},
            "bits_per_byte": INTERVAL,
            "noise_floor": "kl_divergence same_top1 floors_above distinguishable verdict",
            "statistics": "section name value error unit",
            "calibration": "share",
            "attribution": {"divergence": INTERVAL},
            "bootstrap": "resamples seed",
        },
        {"flips": "tokens", "noise_floor": {"variations": "name kl_divergence same_top1 tokens"}},
        {"attribution": "kind name bytes"},
    )
    alone = evaluations.evaluation(evaluated)
    check(alone, EVALUATION)
    assert "about" not in alone and "words" not in alone
    assert set(evaluations.evaluation(replace(evaluated, compounding=None))) < set(alone)


def test_compounding(evaluated: Evaluation) -> None:
    found = evaluations.evaluation(evaluated)
    more = " near_ties tie without_near_ties tokens_differing above_floor"
    first = {"half_life": ESTIMATE, "tokens_differing": ESTIMATE, "without_near_ties": SURVIVAL}
    check(
        found,
        {"first_divergence": SURVIVAL + more, "sampled_first_divergence": SURVIVAL + more},
        {"first_divergence": first, "sequence_kl": "tellable_at total advantage_at_most"},
        {"first_divergence": {"above_floor": "floor_rate rate median distinguishable", "hazard": "first last rate"}},
        {"local_error": {"local_share": ESTIMATE}, "rollout": "steps prompts clusters seed floor draws confidence"},
    )
    check(
        found["free_running"],
        "kl_by_horizon amplification endings sampled_endings verified examples planning",
        {"kl_by_horizon": {"reference_path": ESTIMATE, "own_path": ESTIMATE, "amplification": ESTIMATE}},
        {"endings": {"length_ratio": ESTIMATE, "loops": ESTIMATE}, "verified": "paths exceptions"},
        {"examples": "step before reference candidate", "planning": "proposals alike by_step"},
    )


def test_heat(evaluated: Evaluation, small: Engine, store: ReferenceStore) -> None:
    found = heat.heat(evaluated, small, store)
    check(found, "chunk before", {"tokens": "text kl candidate reference"})
    assert len(found["tokens"]) == store.windows.targets.shape[1]
    assert all(len(token[side]) == heat.SHOWN for token in found["tokens"] for side in ("candidate", "reference"))


def test_comparison(evaluated: Evaluation, small: Engine, store: ReferenceStore) -> None:
    other = replace(suite.identity(small, "1" * 64), name="other", file_bytes=1)
    contenders = [
        replace(comparison.contender(small, identity, found, store.windows), speeds=(9.0, 10.0))
        for identity, found in ((evaluated.candidate, evaluated), (other, None))
    ]
    found = comparisons.comparison(comparison.compare(contenders, comparison.BITS), {"seconds": 1.0})
    check(found, "headline measure words about", {"front": "bytes speed", "pairs": "first second verdict difference"})
    check(found, {"pairs": {"difference": INTERVAL}, "models": {"model": IDENTITY, "bits_per_byte": INTERVAL}})
    check(found, {"models": "is_reference tokens_per_second slowest fastest"})
    assert [("kl_divergence" in m) for m in sorted(found["models"], key=lambda m: m["model"]["name"])] == [False, True]


def test_perplexity(engine: Engine, text: str) -> None:
    found = perplexities.perplexity(perplexity(engine, text, context=CONTEXT, chunks=2), 0.5)
    check(found, "tokens_scored context chunks seconds", {"perplexity": "mean standard_error"})


def test_bench_and_profile(small: Engine) -> None:
    timed = bench.bench(speed.measure_speed(small, prompt=16, tokens=4, depth=2, rounds=1))
    shared = "tokens tokens_per_second fastest share_of_limit"
    limits = "read_gb_s int8_gop_s bf16_gflop_s"
    check(timed, "tier threads", {"limits": limits + " read_one_core_gb_s"}, {"prefill": shared})
    check(timed, {"decode": shared + " depth"})
    found = profile.profile(profiled(small, 16, 4, 2, 1))
    operations = "operation formats seconds share_of_time bytes int8_operations float_operations bf16_operations " \
                 "gb_s gop_s share_of_read share_of_arithmetic"  # fmt: skip
    for step in (found["decode"], found["prefill"]):
        check(step, "tokens depth seconds", {"limits": limits, "operations": operations})
    costs = "format share_of_weights stored_bits read_bits ns_per_weight unpack_ns_per_weight read_ns_per_weight " \
            "cached_gb_s memory_gb_s bound_by"  # fmt: skip
    check(found, {"formats": costs, "coverage": "format tier decode prefill"})


def test_tasks_and_chains() -> None:
    random = np.random.default_rng(0)

    def task(right: float) -> TaskScore:
        return TaskScore("arc", "choice", random.random(20) < right, {"acc": random.random(20) < right}, [])

    def chains(right: float) -> ChainScore:
        def forced(steps: int) -> list[TeacherForced]:
            return [TeacherForced(random.random(steps) < right, np.zeros(steps)) for _ in range(20)]

        return ChainScore("grid", 2, 4, forced(1), forced(4))

    def compared(a: float, b: float) -> dict[str, Any]:
        return tasks.tasks([[task(a), task(b)]], [[chains(a)], [chains(b)]])

    one = "task form metric items right acc_norm acc"
    chain = "family level steps success step_accuracy excess after_error disagreements"
    check(tasks.tasks([[task(0.5)]]), {"tasks": one}, {"tasks": {"acc_norm": INTERVAL}})
    alone = tasks.tasks([], [[chains(0.5)]])
    check(alone, "tasks horizon_ratio", {"chains": chain})
    check(alone, {"chains": {"success": SURVIVAL, "excess": ESTIMATE}})
    for found in (compared(0.5, 0.9), compared(0.5, 1.0)):  # a reference that never fails has an infinite half-life
        check(found, {"tasks": one + " reference lost won difference p verdict", "horizon_ratio": ESTIMATE})
        check(found, {"tasks": {"reference": {"acc_norm": INTERVAL}, "difference": INTERVAL}})
        check(found, {"chains": chain + " reference horizon_ratio loss_change"})
        check(found, {"chains": {"reference": {"success": SURVIVAL, "step_accuracy": ESTIMATE, "excess": ESTIMATE}}})
