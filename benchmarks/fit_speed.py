"""Fits the speed model to published measurements and tests it on devices that were left out of the fit.

    python benchmarks/fit_speed.py            prints the errors
    python benchmarks/fit_speed.py --write    also writes hardware/data/speed.json and benchmarks/results/speed-model.md
    python benchmarks/fit_speed.py --check    fails if these files differ from what the fit gives

Every number of the model has a prior, set by hand from physics and similar terms. The fit moves it as far as the rows
require (least absolute error of the logarithm; a device's weight is the square root of its number of rows).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from reporting import RESULTS, page
from speed_rows import Case, cases

from bitwright.hardware import speed
from bitwright.hardware.devices import built_in

HERE = Path(__file__).parent
DATA = HERE.parent / "src/bitwright/hardware/data/speed.json"
JUDGEMENT = RESULTS / "speed-model.md"
COVERAGE = 0.9
POOL = 2.0  # the prior of a family's mean error: this many devices with an error of zero
PRIORS: dict[str, dict[str, tuple[float, float]]] = {  # by the term's first word: number, and its spread in logarithms
    "decode": {
        "layers": (40, 0.5), "bytes": (1.2, 0.15), "bytes wide": (0.6, 0.5), "unpack": (4, 0.7), "cache": (1.5, 0.3),
        "experts": (40, 1), "early": (2, 0.7),
    },
    "prefill": {
        "multiply": (2.4, 0.6), "multiply metal fp16": (1.4, 0.3), "multiply metal fp16 matrix": (2.4, 0.6),
        "scales": (0.15, 0.6), "weights": (1, 0.2), "layers": (60, 0.7), "experts": (3, 0.7), "early": (0.6, 0.6),
        "scores": (1, 0.5), "attention": (3, 0.7),
    },
}  # fmt: skip
# The cost of unpacking on a CPU, relative to blocks of 32. For llama.cpp's kernels: ratios of pp512 on the CPU cores of
# an M2 Max (ik_llama.cpp discussion 164; no fit uses those rows). ik_llama.cpp has equal costs except for grids.
CPU_KINDS = {"cpu": {"float": 1.0, "k": 2.0, "grid": 5.0}, "ik": {"float": 1.0, "k": 1.0, "grid": 1.6}}

KINDS: tuple[speed.Kind, ...] = ("float", "block", "k", "grid", "fp4")


class Judgement(NamedTuple):
    """Errors are logarithms of measured over predicted speed, from fits that did not see the row's device (strict: any
    device of its architecture). inside: whether the row lies in its interval."""

    rows: Sequence[Case]
    errors: np.ndarray
    strict: np.ndarray
    inside: np.ndarray
    summary: dict[str, float]


class Fit(NamedTuple):
    """The numbers of the terms, and the corrections of families as logarithms of time."""

    numbers: dict[str, float]
    families: dict[str, float]

    def seconds(self, what: str, case: Case) -> float:
        numbers = {name: self.numbers.get(name, prior(what, name)[0]) for name in case.terms}
        correction = self.families.get(speed.family(case.device, case.backend), 0.0)
        return speed.seconds(case.terms, numbers) * math.exp(correction)


def prior(what: str, name: str) -> tuple[float, float]:
    known = PRIORS[what]
    mean, spread = next(known[key] for key in sorted(known, key=len, reverse=True) if name.startswith(key))
    words = name.split()
    return mean * (CPU_KINDS[words[1]].get(words[2], 1.0) if len(words) == 3 and words[1] in CPU_KINDS else 1.0), spread


def fit(what: str, rows: Sequence[Case], rounds: int = 60) -> Fit:
    """Gauss-Newton steps on the logarithms of the numbers, reweighted to minimize absolute errors, not squares."""
    names = sorted({name for case in rows for name in case.terms})
    terms = np.array([[case.terms.get(name, 0.0) for name in names] for case in rows])
    target = np.log([case.seconds for case in rows])
    means, spreads = (np.array(column) for column in zip(*(prior(what, name) for name in names), strict=True))
    weights = device_weights(rows)
    start = theta = np.log(means)
    for _ in range(rounds):
        parts = terms * np.exp(theta)
        total = parts.sum(axis=1)
        error = target - np.log(total)
        slope = parts / total[:, None]
        weight = weights / np.maximum(np.abs(error), 0.05) / 0.2
        normal = slope.T @ (weight[:, None] * slope) + np.diag(spreads**-2.0)
        step = np.linalg.solve(normal, slope.T @ (weight * error) + (start - theta) / spreads**2)
        theta = theta + np.clip(step, -1, 1)
    bare = Fit(dict(zip(names, np.exp(theta).tolist(), strict=True)), {})
    return bare._replace(families=corrections(what, bare, rows))


def device_weights(rows: Sequence[Case]) -> np.ndarray:
    counts = {case.device.id: 0 for case in rows}
    for case in rows:
        counts[case.device.id] += 1
    weights = np.array([counts[case.device.id] ** -0.5 for case in rows])
    return weights / weights.mean()


def corrections(what: str, bare: Fit, rows: Sequence[Case]) -> dict[str, float]:
    """Each family's mean error over its devices, shrunk towards zero as if POOL more devices had none."""
    errors: dict[str, dict[str, list[float]]] = {}
    for case in rows:
        error = math.log(case.seconds / bare.seconds(what, case))
        errors.setdefault(speed.family(case.device, case.backend), {}).setdefault(case.device.id, []).append(error)
    return {
        family: sum(float(np.median(values)) for values in own.values()) / (len(own) + POOL)
        for family, own in errors.items()
    }


def held_out(what: str, rows: Sequence[Case], group: Callable[[Case], object]) -> np.ndarray:
    """The logarithm of measured over predicted speed of every row, from a fit without the rows of its group."""
    groups = [group(case) for case in rows]
    errors = np.zeros(len(rows))
    for left_out in dict.fromkeys(groups):
        seen = fit(what, [case for case, own in zip(rows, groups, strict=True) if own != left_out])
        for index, case in enumerate(rows):
            if groups[index] == left_out:
                errors[index] = math.log(seen.seconds(what, case) / case.seconds)
    return errors


def factors(rows: Sequence[Case], errors: np.ndarray) -> dict[str, float]:
    """For each backend, the factor within which COVERAGE of speeds lie.

    It is the conformal quantile of errors from fits that did not see the row's architecture, scaled by the backend's
    mean error, which for a backend with few devices is drawn towards the others'."""
    devices = np.array([case.device.id for case in rows])
    backends = np.array([case.backend for case in rows])
    size = np.abs(errors)

    own = {}
    for backend in dict.fromkeys(backends):
        mine = backends == backend
        own[backend] = [float(size[mine & (devices == name)].mean()) for name in dict.fromkeys(devices[mine])]
    usual = float(np.mean([np.mean(values) for values in own.values()]))
    scales = {
        backend: (sum(own.get(backend, [])) + POOL * usual) / (len(own.get(backend, [])) + POOL)
        for backend in speed.BACKENDS
    }
    scores = size / np.array([scales[name] for name in backends])
    order, weight = np.argsort(scores), device_weights(rows)
    share = np.cumsum(weight[order]) / (weight.sum() + weight.mean())
    quantile = scores[order][min(int(np.searchsorted(share, COVERAGE)), len(rows) - 1)]
    return {backend: math.exp(quantile * scale) for backend, scale in scales.items()}


def covered(rows: Sequence[Case], errors: np.ndarray, strict: np.ndarray) -> np.ndarray:
    """Whether each row lies in the interval computed from the errors of all other devices."""
    devices = np.array([case.device.id for case in rows])
    inside = np.zeros(len(rows), bool)
    for name in dict.fromkeys(devices):
        others = devices != name
        known = factors([case for case, other in zip(rows, others, strict=True) if other], strict[others])
        for index in np.flatnonzero(~others):
            inside[index] = abs(errors[index]) <= math.log(known[rows[index].backend])
    return inside


def off(errors: np.ndarray) -> np.ndarray:
    """Relative error of the predicted speed."""
    return np.exp(-errors) - 1


def judge(what: str, rows: Sequence[Case]) -> Judgement:
    errors = held_out(what, rows, lambda case: case.device.id)
    strict = held_out(what, rows, lambda case: case.device.arch)
    devices = np.array([case.device.id for case in rows])
    inside, wrong = covered(rows, errors, strict), np.abs(off(errors))

    def per_device(values: np.ndarray, middle: Callable[[Any], Any]) -> list[float]:
        return [float(middle(values[devices == name])) for name in dict.fromkeys(devices)]

    summary = {
        "rows": float(len(rows)),
        "devices": float(len(set(devices.tolist()))),
        "median error": float(np.median(wrong)),
        "median of the devices' median errors": float(np.median(per_device(wrong, np.median))),
        "median error, the whole architecture left out": float(np.median(np.abs(off(strict)))),
        "in the interval, of rows": float(inside.mean()),
        "in the interval, of devices": float(np.mean(per_device(inside, np.mean))),
    }
    return Judgement(rows, errors, strict, inside, summary)


def table(judged: Judgement) -> list[str]:
    """The errors by device and backend, as Markdown."""
    lines = [
        "| device | backend | rows | median error | worst | bias | in the interval |",
        "| --- | --- |" + " ---: |" * 5,
    ]
    groups: dict[tuple[str, str], list[int]] = {}
    for index, case in enumerate(judged.rows):
        groups.setdefault((case.backend, case.device.id), []).append(index)
    for (backend, device), chosen in sorted(groups.items()):
        wrong = off(judged.errors[chosen])
        worst = wrong[np.argmax(np.abs(wrong))]
        cells = [f"{np.median(np.abs(wrong)):.0%}", f"{worst:+.0%}", f"{np.median(wrong):+.0%}"]
        inside = f"{int(judged.inside[chosen].sum())} of {len(chosen)}"
        lines.append("| " + " | ".join([device, backend, str(len(chosen)), *cells, inside]) + " |")
    return lines


def every_term(what: str) -> set[str]:
    """The names of all terms that any device can have."""
    names: set[str] = set()
    terms = speed.decode_terms if what == "decode" else speed.prefill_terms
    for device, kind, experts in itertools.product(built_in().values(), KINDS, (False, True)):
        load = speed.Load(1, 1, 1, 0, 1, 1, kind, experts)
        backend = speed.backend_of(device)
        others: dict[str, tuple[speed.Backend, ...]] = {"cpu": ("ik",), "cuda": ("vulkan",), "vulkan": ("rocm",)}
        for chosen in (backend, *others.get(backend, ())):
            if device.bandwidth and (chosen != "rocm" or device.vendor == "amd"):
                names |= set(terms(device, load, chosen))
    return names


def data(judged: Mapping[str, Judgement]) -> dict[str, Any]:
    """The content of speed.json."""
    written: dict[str, Any] = {"made by": "benchmarks/fit_speed.py"}
    for what, judgement in judged.items():
        final = fit(what, judgement.rows)
        names = sorted(every_term(what) | set(final.numbers))
        numbers = {name: final.numbers.get(name, prior(what, name)[0]) for name in names}
        parts = {
            "numbers": numbers,
            "families": dict(sorted(final.families.items())),
            "factors": factors(judgement.rows, judgement.strict),
        }
        parts["judged"] = judgement.summary
        written[what] = {key: {name: float(f"{part[name]:.3g}") for name in part} for key, part in parts.items()}
    return written


def document(judged: Mapping[str, Judgement], left_out: Mapping[str, int]) -> str:
    """The text of benchmarks/results/speed-model.md."""
    lines = ["|  | decode | prefill |", "| --- | ---: | ---: |"]
    for name in judged["decode"].summary:
        cells = [judged[what].summary[name] for what in judged]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.0f}" if cell > 1 else f"{cell:.1%}" for cell in cells) + " |")
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items(), key=lambda item: -item[1]))
    lines += ["", f"Rows of the collection that are not used, by the first reason that holds: {reasons}."]
    for what, judgement in judged.items():
        lines += ["", f"Errors of {what}, each device predicted by a fit that saw no row of it:", "", *table(judgement)]
    return page("Errors of the speed model", "fit_speed.py", lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(arguments)
    read = {what: cases(what) for what in ("decode", "prefill")}
    judged = {what: judge(what, rows) for what, (rows, _) in read.items()}
    text = json.dumps(data(judged), indent=1) + "\n"
    judgement = document(judged, read["decode"][1])
    if args.write:
        DATA.write_text(text, encoding="utf-8")
        JUDGEMENT.write_text(judgement, encoding="utf-8")
    elif args.check and [path.read_text(encoding="utf-8") for path in (DATA, JUDGEMENT)] != [text, judgement]:
        print("speed.json or speed-model.md is stale: run python benchmarks/fit_speed.py --write")
        return 1
    else:
        print(judgement)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
