"""Where the time of a step goes, by operation and weight format, against its bytes, operations and the limits."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bitwright import formats, kernels
from bitwright.bench import work
from bitwright.bench.work import Limits, Work
from bitwright.formats import QuantizedTensor
from bitwright.progress import Progress

if TYPE_CHECKING:
    from bitwright.engine import Engine, Session
    from bitwright.kernels.schedule import Phase

YARDSTICKS = ("q4_k", "q4_0")  # formats to compare others with; the first whose blocks fit is used
YARDSTICK_ROWS = 128
PRODUCTS = ("linear", "experts")  # instructions that multiply by a weight
NAMES = {
    "load": "int8 inputs",
    "load_experts": "int8 inputs",
    "group": "order by expert",
    "store": "to cache",
    "glu_silu": "glu",
    "glu_gelu_tanh": "glu",
}


@dataclass
class PhaseGroup:
    """Phases of the same operation on weights of the same formats: their seconds and work in one step."""

    what: str
    formats: tuple[str, ...]
    seconds: float = 0.0
    work: Work = field(default_factory=Work)


@dataclass(frozen=True)
class ProfiledStep:
    """One step of `tokens` tokens after `depth` others. `seconds` includes what happens outside the groups; the limits
    were measured just before."""

    tokens: int
    depth: int
    seconds: float
    limits: Limits
    groups: list[PhaseGroup]


@dataclass(frozen=True)
class FormatCost:
    """The cost of unpacking weights of a format with all threads. `share`: of the weights a token is multiplied with; 0
    for a yardstick that the model does not use. Bits are per weight."""

    format: str
    share: float
    stored_bits: float
    decoding: kernels.Decoding

    @property
    def read_bits(self) -> float:
        """Bits read per weight in the packed layout, scales included."""
        return 8 * self.decoding.bytes_per_weight

    def bound(self, limits: Limits) -> str:
        """Which is slower: unpacking weights from cache, or reading their bytes at the memory's limit."""
        return "memory" if self.decoding.cached_gb_s > limits.read_gb_s else "unpacking"


@dataclass(frozen=True)
class Profile:
    """One decode step, one prefill step, the cost of each weight format, and the way its products run."""

    decode: ProfiledStep
    prefill: ProfiledStep
    formats: list[FormatCost]
    coverage: list[kernels.Coverage]


def profile(
    engine: Engine, prompt: int, tokens: int, depth: int, rounds: int, progress: Progress | None = None
) -> Profile:
    """Profile `rounds` decodes of `tokens` tokens after `depth` others and as many prefills of `prompt` tokens, and
    keep the round with the median time of each. Then time the model's formats alone."""
    meter, session = kernels.Meter(engine.threads, engine.tier), engine.session()
    ids = np.random.default_rng(0).integers(0, engine.config.vocabulary, max(prompt, depth + tokens)).tolist()
    prompt = min(prompt, session.batch)
    decodes, prefills = [], []
    for done in range(rounds):
        decodes.append(profile_step(session, meter, ids[:depth], [[t] for t in ids[depth : depth + tokens]]))
        prefills.append(profile_step(session, meter, [], [ids[:prompt]]))
        if progress:
            progress(done + 1, rounds + 1, "")
    costs = format_costs(engine, meter)
    used = kernels.coverage(formats.get(c.format) for c in costs if c.share)
    return Profile(middle(decodes), middle(prefills), costs, used)


def middle(steps: list[ProfiledStep]) -> ProfiledStep:
    """The step of median time; of two in the middle, the slower."""
    return sorted(steps, key=lambda step: step.seconds)[len(steps) // 2]


def profile_step(session: Session, meter: kernels.Meter, before: list[int], steps: list[list[int]]) -> ProfiledStep:
    """Run steps of equally many tokens after a warm-up, and add up the time of their phases by group."""
    session.reset()
    for ids in (before, steps[0]):
        if ids:
            session.prefill(ids)
    session.reset(len(before))
    limits = Limits.measure(meter)
    session.executor.watch()
    started = time.perf_counter()
    for ids in steps:
        session.prefill(ids)
    seconds = (time.perf_counter() - started) / len(steps)
    tokens, depth = len(steps[0]), len(before)
    groups: dict[tuple[str, tuple[str, ...]], PhaseGroup] = {}
    for phase, total in session.executor.seconds():
        key = what(phase), formats_of(phase, session.engine)
        group = groups.setdefault(key, PhaseGroup(*key))
        group.seconds += total / len(steps)
        group.work += work_of(phase, session.engine, tokens, depth + len(steps) // 2)
    return ProfiledStep(tokens, depth, seconds, limits, list(groups.values()))


def what(phase: Phase) -> str:
    """A name for the phase: its weights (attn q k v, ffn gate up, output), or its row operations."""
    if phase.kind != "linears":
        return ", ".join(dict.fromkeys(NAMES.get(i.code, i.code) for i in phase.instructions))
    names = [re.sub(r"^blk\.\d+\.|\.weight$", "", i.weight or "") for i in phase.instructions]
    names = ["output" if name == "token_embd" else name for name in names]
    first = names[0].split("_")[0]
    return " ".join([names[0].replace("_", " "), *(name.removeprefix(f"{first}_") for name in names[1:])])


def formats_of(phase: Phase, engine: Engine) -> tuple[str, ...]:
    """Names of the weight formats that a phase multiplies with, sorted."""
    names = (i.weight for i in phase.instructions if i.code in PRODUCTS and i.weight)
    return tuple(sorted({engine.model.tensors[name].format.name for name in names}))


def work_of(phase: Phase, engine: Engine, tokens: int, depth: int) -> Work:
    """Bytes and operations of one phase for `tokens` tokens after `depth` earlier ones."""
    total = Work()
    for i in phase.instructions:
        if i.code in PRODUCTS and i.weight:
            total += work.product(engine, i.weight, 1 if phase.selected else tokens)
        elif i.code == "attention":
            total += work.attention(i.attributes, tokens, depth, engine.options.kv)
        elif "state" in i.attributes and (kind := i.attributes["state"][0]) in work.STATE_PRODUCTS:
            total += work.state(kind, i.attributes, tokens)
    return total


def format_costs(engine: Engine, meter: kernels.Meter) -> list[FormatCost]:
    """The formats of the model's products and a yardstick, fewest bits first, each timed on its largest weight."""
    weights = [engine.model.tensors[op.weights[0]] for op in engine.model.step.ops if op.kind == "linear"]
    counts: dict[str, int] = {}
    largest: dict[str, QuantizedTensor] = {}
    for w in weights:
        name, size = w.format.name, w.shape[0] * w.shape[1]
        counts[name] = counts.get(name, 0) + size
        if name not in largest or size > largest[name].shape[0] * largest[name].shape[1]:
            largest[name] = w
    total = sum(counts.values())
    if (extra := yardstick(max(weights, key=lambda w: w.shape[0] * w.shape[1]), counts)) is not None:
        largest[extra.format.name] = extra
    costs = []
    for name, w in largest.items():
        bits = 8 * w.format.row_bytes(w.shape[1]) / w.shape[1]
        costs.append(FormatCost(name, counts.get(name, 0) / total, bits, meter.decoding(w)))
    return sorted(costs, key=lambda c: c.stored_bits)


def yardstick(weight: QuantizedTensor, present: Iterable[str]) -> QuantizedTensor | None:
    """Some rows of a weight in a yardstick's format, unless the model uses one already."""
    if set(YARDSTICKS) & set(present):
        return None
    rows, columns = min(weight.shape[0], YARDSTICK_ROWS), weight.shape[1]
    for format in map(formats.get, YARDSTICKS):
        if columns % format.block_size == 0:
            values = weight.format.dequantize(weight.data[:rows])
            return QuantizedTensor(weight.name, (rows, columns), format, kernels.quantize(format, values, method="rtn"))
    return None
