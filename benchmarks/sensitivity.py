"""Which estimate of what a format costs predicts the measured KL divergence, one tensor at a time and as a whole?

    python benchmarks/sensitivity.py --model widened.f16.gguf --stats widened.stats.gguf -c wiki.txt -c code.txt \\
        --formats q2_k,q3_k,q4_k,q5_k,q6_k,q8_0 --write

`bitwright calibrate --hessian` makes --stats; -c is text for gradients and for probes. The estimates: "rows" (`survey`,
from some rows of each tensor), "layers" (`sensitivity`), "gradients" (`gradients`, where errors of rows are taken as
independent; "coherent" without that), both "smoothed" by layers, and "probes", the measured divergence of one changed
tensor on little text. The truth is measured on WikiText-2, which no estimate saw (-f). Pairs are a tensor in one of
three formats, with all others in the largest: --each tensors of each kind. Files are the formats of --at everywhere,
random mixtures, and what each estimate would choose at the same bytes: the best estimate is the one whose choice
measures best. "bias" is the geometric mean of estimated / measured, "scatter" the factor that two thirds of the ratios
lie within after that; pairs that measure less than SEEN are left out there. All files are encoded by feedback at
--effort. --model and --stats may be repeated. What was measured is kept in --work, where an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reporting import describe_machine, markdown, write
from wikitext import add_text_option

import bitwright as bw
from bitwright import calibration, formats
from bitwright.cli import output
from bitwright.fit import gradients, sensitivity, survey
from bitwright.fit.allocation import allocate
from bitwright.fit.choices import Choices, Levels
from bitwright.fit.palette import Palette
from bitwright.fit.scoring import EngineScorer
from bitwright.measure.windows import spread
from bitwright.quantizers.quantizer import Quantizer
from bitwright.recipes.roles import role

WORK = Path(__file__).parent.parent / "build/sensitivity"
FORMATS = 3  # of a tensor that is measured
SEEN = 1e-4  # nats: differences from a base file that are smaller are lost in its own
PROBED, TOKENS, CONTEXT = 3, 256, 512  # chunks and tokens of a chunk of calibration text, tokens of a held-out one
Estimates = dict[str, NDArray[np.float64]]


class Bench:
    """One model: its tensors in all formats, the estimates, and the truth on held-out text."""

    def __init__(self, model: Path, stats: Path, args: argparse.Namespace, report: Callable[..., object]) -> None:
        self.engine, self.args, self.report = bw.load(model, context=CONTEXT, threads=args.threads), args, report
        self.file = self.engine.model.opened()
        self.work = args.work / model.stem
        self.work.mkdir(parents=True, exist_ok=True)
        statistics = calibration.read(stats).fitted(self.file.tensors, stats)
        quantizer = Quantizer(effort=args.effort, statistics=statistics, threads=args.threads)
        self.palette = Palette(self.file, quantizer, args.palette)
        names = [op.weights[0] for op in self.engine.model.step.ops if op.kind in ("embed", "linear")]
        names = list(dict.fromkeys(names))
        shapes = [self.file.tensors[name].shape for name in names]
        self.choosable = [formats.get(name) for name in args.formats.split(",")]
        source = [self.file.tensors[names[0]].format]
        sizes = [[0 if w % f.block_size else rows * f.row_bytes(w) for f in self.choosable + source]
                 for rows, w in shapes]  # fmt: skip
        bytes_ = np.array(sizes, np.int64)
        self.choices = Choices(tuple(names), tuple(self.choosable + source), bytes_, np.where(bytes_, 0.0, np.inf))
        self.weights = sum(rows * columns for rows, columns in shapes)
        self.allowed = self.choices.allowed[:, :-1]
        best = [j for j in range(len(self.choosable)) if self.allowed[:, j].sum() == self.allowed.any(axis=1).sum()]
        largest = max(best, key=lambda j: self.choosable[j].bits_per_weight)
        self.base: Levels = tuple(np.where(self.allowed[:, largest], largest, len(self.choosable)).tolist())
        self.near = np.concatenate([self._cut(path, TOKENS, args.chunks) for path in args.calibration])
        self.scorer = self._scorer(self._cut(args.file, CONTEXT, args.held), "held-out")
        self.kept = self.work / "measured.json"
        self.key = f"{args.formats} {args.effort}"
        self.measured = json.loads(self.kept.read_text()) if self.kept.exists() else {}

    def _cut(self, path: Path, context: int, count: int) -> NDArray[np.int32]:
        ids = np.array(self.engine.tokenizer.encode(path.read_text(encoding="utf-8")), np.int32)
        pieces = ids[: len(ids) // context * context].reshape(-1, context)
        return pieces[spread(len(pieces), count)]

    def _scorer(self, tokens: NDArray[np.int32], name: str) -> EngineScorer:
        return EngineScorer(self.engine, self.palette.tensor, self.choices, tokens, folder=self.work / name)

    def estimates(self) -> tuple[Estimates, dict[str, float]]:
        """Each estimate of all costs, and the seconds it took, without those of building the palette."""
        names, chosen, found, seconds = self.choices.tensors, self.choosable, {}, {}

        def timed(name: str, work: Callable[[], NDArray[np.float64]]) -> None:
            key, started = f"{self.key} {self.args.chunks} {self.args.seed} {name}", time.monotonic()
            if key not in self.measured:
                costs = work()
                self._keep(key, [time.monotonic() - started, costs.tolist()])
            seconds[name], found[name] = self.measured[key][0], np.array(self.measured[key][1])

        pairs = [(names[i], chosen[j]) for i, j in np.argwhere(self.allowed)]
        self.palette.build(pairs, self.report)
        timed("rows", self._rows)
        timed("layers", lambda: sensitivity.layer_costs(self.palette, names, chosen, self.allowed))
        timed("gradients", lambda: self._gradients().costs)
        timed("coherent", lambda: self._gradients().coherent)  # from what was kept, but for the palette's digest
        for name in ("gradients", "coherent"):
            timed(f"{name}, smoothed", lambda name=name: smoothed(found[name], found["layers"]))
        seconds["coherent"] = seconds["gradients"]
        return found, seconds

    def _rows(self) -> NDArray[np.float64]:
        costs = np.full(self.allowed.shape, np.inf)
        for i, name in enumerate(self.choices.tensors):
            own = np.flatnonzero(self.allowed[i]).tolist()
            tensor, fitting = self.file.tensor(name), [self.choosable[j] for j in own]
            costs[i, own] = survey.costs(tensor, fitting, self.palette.quantizer)
            self.report(i, len(costs), "rows")
        return costs

    def _gradients(self) -> gradients.Sums:
        return gradients.gradient_sums(
            self.engine.model, self.near, self.choices.tensors, self.choosable, self.palette.tensor, self.allowed,
            self.args.seed, self.args.threads, self.report, self.work / "sums",
        )  # fmt: skip

    def pairs(self) -> tuple[list[tuple[int, int]], NDArray[np.float64], NDArray[np.float64], float]:
        """Some pairs, their measured divergence, that on little text, and the seconds that the latter took for each."""
        rng, of_kind = np.random.default_rng(self.args.seed), {}
        for place, name in enumerate(self.choices.tensors):
            of_kind.setdefault(role(name), []).append(place)
        some = sorted(int(i) for own in of_kind.values() for i in rng.permutation(own)[: self.args.each])
        own = {i: [j for j in np.flatnonzero(self.allowed[i]).tolist() if j != self.base[i]] for i in some}
        pairs = [(i, j) for i, levels in own.items() for j in sorted(rng.permutation(levels)[:FORMATS].tolist())]
        probes = self._scorer(self.near[spread(len(self.near), PROBED)], "near")
        probes.prepare()
        near, truth, probed, spent = probes.score([self.base], range(probes.chunks), self.base), [], [], 0.0
        for done, (i, j) in enumerate(pairs):
            candidate = (*self.base[:i], j, *self.base[i + 1 :])
            truth.append(self.truth(candidate) - self.truth(self.base))
            key, started = f"{self.key} {self.args.chunks} probe {i} {j}", time.monotonic()
            if key not in self.measured:
                scored = probes.score([candidate], range(probes.chunks), self.base)
                self._keep(key, [time.monotonic() - started, float((scored - near).mean())])
            probed.append(self.measured[key][1])
            spent += self.measured[key][0]
            self.report(done, len(pairs), "tensors one by one")
        return pairs, np.array(truth), np.array(probed), spent / len(pairs)

    def truth(self, candidate: Levels) -> float:
        """The divergence on held-out text, from an earlier run if it was measured then."""
        key = f"{self.key} {self.args.held} {' '.join(map(str, candidate))}"
        if key not in self.measured:
            self._keep(key, float(self.scorer.score([candidate], range(self.scorer.chunks), self.base).mean()))
        return float(self.measured[key])

    def _keep(self, key: str, value: object) -> None:
        self.measured[key] = value
        self.kept.write_text(json.dumps(self.measured))

    def files(self, estimates: Estimates) -> dict[str, Levels]:
        """Whole files: uniform, random mixtures, and the choice of each estimate at the bytes of the uniform ones."""
        stuck, found = ~self.allowed.any(axis=1), {}  # tensors that stay as they are
        able = np.column_stack([self.allowed, stuck])
        for j, format in enumerate(self.choosable):
            if format.name in self.args.at.split(",") or j in self.base:
                found[format.name] = tuple(np.where(self.allowed[:, j], j, self.base).tolist())
        rng = np.random.default_rng(self.args.seed)
        for number in range(self.args.mixtures):
            found[f"mixture {number + 1}"] = tuple(int(rng.choice(np.flatnonzero(own))) for own in able)
        for format in self.args.at.split(","):
            budget = self.choices.bytes_of(found[format])
            for name, costs in estimates.items():
                if "smoothed" in name:
                    continue
                all_costs = np.where(able, np.column_stack([costs, 0 * stuck]), np.inf)
                found[f"bytes of {format}, by {name}"] = allocate(replace(self.choices, cost=all_costs), budget)
        return found


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.argsort(np.argsort(values)).astype(float)


def judged(estimate: NDArray[np.float64], truth: NDArray[np.float64]) -> list[str]:
    """Rank correlation of an estimate, and its bias and scatter where the truth can be measured."""
    seen = (truth > SEEN) & (estimate > 0)
    logs = np.log(estimate[seen] / truth[seen])
    rank = np.corrcoef(ranks(estimate), ranks(truth))[0, 1]
    return [f"{rank:.3f}", f"{np.exp(logs.mean()):.2f}", f"x{np.exp(logs.std()):.2f}"]


def tables(bench: Bench) -> list[tuple[list[str], list[list[str]]]]:
    estimates, seconds = bench.estimates()
    pairs, truth, probed, spent = bench.pairs()
    per_pair = []
    for name, costs in estimates.items():
        changes = np.array([costs[i, j] - costs[i, bench.base[i]] for i, j in pairs])
        per_pair.append([name, *judged(changes, truth), f"{seconds[name]:.0f}"])
    per_pair.append(["probes", *judged(probed, truth), f"{spent * bench.allowed.sum():.0f}"])
    headers = [f"{len(pairs)} pairs", ">rank correlation", ">bias", ">scatter", ">seconds for all"]
    rows, sums, measured = [], {name: [] for name in estimates}, []
    files = bench.files(estimates)
    for done, (label, levels) in enumerate(files.items()):
        bench.report(done, len(files), label)
        found = bench.truth(levels)
        for name, costs in estimates.items():
            sums[name].append(sum(float(own[j]) for own, j in zip(costs, levels, strict=True) if j < len(own)))
        bits = 8 * bench.choices.bytes_of(levels) / bench.weights
        rows.append([label, f"{bits:.3f}", f"{found:.5f}", *(f"{own[-1]:.5f}" for own in sums.values())])
        measured.append(found)
    of_files = [[name, *judged(np.array(own), np.array(measured))] for name, own in sums.items()]
    return [
        (headers, per_pair),
        ([f"{len(files)} files", ">rank correlation", ">bias", ">scatter"], of_files),
        (["file", ">bits per weight", ">measured", *(f">{name}" for name in estimates)], rows),
    ]


def smoothed(costs: NDArray[np.float64], layers: NDArray[np.float64]) -> NDArray[np.float64]:
    """`layers`, costs (tensors, formats) from layer errors, each tensor's scaled by one factor to agree with `costs`
    from gradients.

    Gradients know what a tensor's errors do in the whole model, but each of their figures is noisy; layer errors know
    nearly without noise how a tensor's formats compare. The factor is the mean ratio over the tensor's formats.
    """
    known = np.isfinite(layers) & (layers > 0)
    ratios = np.divide(costs, layers, out=np.zeros_like(costs), where=known)
    factors = ratios.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, factors[:, None] * np.where(known, layers, 0), costs)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, action="append", help="a float16 GGUF")
    parser.add_argument("--stats", type=Path, required=True, action="append", help="its second moments")
    parser.add_argument("-c", "--calibration", type=Path, required=True, action="append", help="text for the estimates")
    add_text_option(parser, "-f", "--file")
    parser.add_argument("--formats", default="q2_k,q3_k,mxfp4,q4_k,q5_k,q6_k,q8_0", help="separated by commas")
    parser.add_argument("--at", default="q3_k,q4_k", help="formats at whose bytes the estimates choose files")
    parser.add_argument("--chunks", type=int, default=8, help=f"chunks of {TOKENS} tokens from each calibration text")
    parser.add_argument("--held", type=int, default=8, help=f"held-out chunks of {CONTEXT} tokens")
    parser.add_argument("--each", type=int, default=3, help="tensors of each kind that are measured")
    parser.add_argument("--mixtures", type=int, default=4, help="random files")
    parser.add_argument("--effort", type=int, default=0, help="of feedback")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=WORK, help="folder for results")
    parser.add_argument("--palette", type=Path, help="folder of the palette; default: in bitwright's cache")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/sensitivity.md")
    args = parser.parse_args(argv)
    lines = []
    for model, stats in zip(args.model, args.stats, strict=True):
        with output.progress(model.stem) as report:
            bench = Bench(model, stats, args, report)
            found = tables(bench)
        texts, known = ", ".join(path.name for path in args.calibration), bench.palette.quantizer.statistics
        about = [f"{args.held} chunks of {CONTEXT} tokens of {args.file.name}. Estimates from {args.chunks} chunks of",
                 f"{TOKENS} tokens of each of {texts}; statistics from {known.chunks} chunks of {known.chunk_tokens}.",
                 "Seconds are elapsed time, in which the machine also did other work."]  # fmt: skip
        lines += [f"## {model.stem}", "", *about, ""]
        for headers, rows in found:
            output.print_table(headers, rows)
            lines += [*markdown(headers, rows, describe_machine(args.threads))[2:], ""]
    if args.write:
        machine = ", ".join(f"{key} {value}" for key, value in describe_machine(args.threads).items())
        write("sensitivity", "Estimates of what a format costs, against measurements", "sensitivity.py",
              [machine, "", *lines[:-1]])  # fmt: skip


if __name__ == "__main__":
    main()
