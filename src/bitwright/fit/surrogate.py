"""What the additive model gets wrong, learned from evaluated candidates: a Gaussian process over pairs of tensors.

Near the original, the divergence is half the squared length of an error e, the sum of one error e_t per tensor (in the
metric of the output). So it is the sum of the costs c_t = |e_t|²/2, which the additive model predicts, and of the inner
products of all pairs, which it leaves out. With z_t = √c_t, candidates differ from the additive model by

    sum over pairs of tensors t, u of A_tu z_t z_u  +  sum over tensors of E_tf, for the format f that t takes

where E_tf corrects a cost in itself. A and E are unknown, with independent normal priors, also for whole groups: roles
(all attn_q), depths and formats whose costs are wrong by a common factor, and roles that interact. That is a Gaussian
process whose kernel is a sum of parts, linear and quadratic in sums of c and z. How much each part matters is found by
maximum likelihood. Differences to one candidate, the origin, are learned; its own value is exact.

A draw from the process is again a model of pairs, so its optimum can be searched as quickly as the additive one.
Updates of variances: Zhou et al., MM Algorithms for Variance Components Models (2019). Draws by Matheron's rule: Wilson
et al., Pathwise Conditioning of Gaussian Processes (2021).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bitwright.fit.choices import Choices, Levels
from bitwright.kernels.sharing import single_blas

Float64 = NDArray[np.float64]
Indices = NDArray[np.intp]

ITERATIONS = 30  # updates of the variances
FEWEST, FITTED = 6, 128  # observations that fitting the variances needs, and those that it looks at
DEPTHS = 4  # groups of layers


@dataclass(frozen=True)
class Pairs:
    """Objectives by pairs of tensors: `costs` (tensors, formats) plus z' `pairs` z, with z from `roots` (tensors,
    formats); less `origin`, so that the origin has 0."""

    costs: Float64
    pairs: Float64
    roots: Float64
    origin: float = 0.0

    def __call__(self, levels: Indices) -> Float64:
        """The objective of candidates (n, tensors): (n,)."""
        tensors = np.arange(len(self.costs))
        z = self.roots[tensors, levels]
        total: Float64 = self.costs[tensors, levels].sum(axis=1) + ((z @ self.pairs) * z).sum(axis=1) - self.origin
        return total

    def around(self, levels: Levels) -> Float64:
        """What each format of each tensor costs (tensors, formats) if the others stay as in `levels`, beside what the
        candidate has: exact for one switch, and to first order for several."""
        tensors = np.arange(len(self.costs))
        z = self.roots[tensors, levels]
        step = self.roots - z[:, None]
        return self.costs + 2 * (self.pairs @ z)[:, None] * step + np.diag(self.pairs)[:, None] * step**2


@dataclass(frozen=True)
class _Part:
    """A part of the kernel: sums of `values` (tensors, formats) over the tensors of each group, numbered in `groups`
    (tensors, formats) from 0 to `count`; linear in them, or quadratic."""

    values: Float64
    groups: Indices
    count: int
    quadratic: bool

    def features(self, levels: Indices) -> Float64:
        """The sums of candidates (n, tensors): (n, count)."""
        tensors = np.arange(len(self.values))
        places = self.groups[tensors, levels] + self.count * np.arange(len(levels))[:, None]
        sums = np.zeros(self.count * len(levels))
        np.add.at(sums, places.ravel(), self.values[tensors, levels].ravel())
        return sums.reshape(len(levels), self.count)

    def kernel(self, a: Float64, b: Float64) -> Float64:
        """The covariances (n, m) of candidates with features a (n, count) and b (m, count), for a variance of 1."""
        inner: Float64 = a @ b.T
        return inner**2 if self.quadratic else inner

    def variance(self, a: Float64) -> Float64:
        """The diagonal of kernel(a, a)."""
        squares: Float64 = (a * a).sum(axis=1)
        return squares**2 if self.quadratic else squares


class Surrogate:
    """The process, given what was observed: `gains` (n,) of the objective over the additive model's prediction, both
    less those of `origin`, with the variances `noise` (n,) of their errors."""

    def __init__(
        self, choices: Choices, origin: Levels, observed: Sequence[Levels], gains: Float64, noise: Float64
    ) -> None:
        self.choices, self._parts = choices, _parts(choices)
        self._origin = np.array([origin])
        levels = np.array(observed, np.intp).reshape(len(observed), len(origin))
        self._features = [part.features(levels) for part in self._parts]
        self._at_origin = [part.features(self._origin) for part in self._parts]
        kernels = [self._centred(n, f, f) for n, f in enumerate(self._features)]
        units = [max(float(np.trace(k)) / max(len(k), 1), 1e-30) for k in kernels]
        scaled = np.array([k / u for k, u in zip(kernels, units, strict=True)])
        with single_blas():
            variances, self._noise = _variances(scaled, gains, noise)
            self._inverse = np.linalg.inv(np.tensordot(variances, scaled, 1) + np.diag(self._noise))
        self._variances = variances / units
        self._gains = gains

    def predict(self, candidates: Sequence[Levels]) -> tuple[Float64, Float64]:
        """The expected gains of candidates and their standard deviations: (n,), (n,)."""
        levels = np.array(candidates, np.intp).reshape(len(candidates), -1)
        cross, prior = np.zeros((len(levels), len(self._gains))), np.zeros(len(levels))
        for n, (part, variance) in enumerate(zip(self._parts, self._variances, strict=True)):
            features, origin = part.features(levels), self._at_origin[n]
            cross += variance * self._centred(n, features, self._features[n])
            own = part.variance(features) + part.variance(origin) - 2 * part.kernel(features, origin)[:, 0]
            prior += variance * own
        spread = prior - ((cross @ self._inverse) * cross).sum(axis=1)
        return cross @ (self._inverse @ self._gains), np.sqrt(np.maximum(spread, 0))

    def mean(self) -> Pairs:
        """The expected objective, additive model included, less that of the origin."""
        return self._pairs([np.zeros((p.count,) * (1 + p.quadratic)) for p in self._parts], np.zeros(len(self._gains)))

    def draw(self, random: np.random.Generator) -> Pairs:
        """An objective drawn from the process, additive model included, less that of the origin."""
        weights = [
            random.normal(size=(part.count,) * (1 + part.quadratic)) * np.sqrt(variance)
            for part, variance in zip(self._parts, self._variances, strict=True)
        ]
        return self._pairs(weights, random.normal(size=len(self._gains)) * np.sqrt(self._noise))

    def _pairs(self, weights: list[Float64], errors: Float64) -> Pairs:
        """The model with these prior weights of each part's features, after what was observed with these errors."""
        rest = self._gains - errors
        for part, own, features, origin in zip(self._parts, weights, self._features, self._at_origin, strict=True):
            rest -= _value(part, own, features) - _value(part, own, origin)
        load = self._inverse @ rest
        costs = np.where(self.choices.allowed, self.choices.cost, 0.0)
        pairs = np.zeros((len(costs), len(costs)))
        for n, (part, own) in enumerate(zip(self._parts, weights, strict=True)):
            features, origin = self._features[n], self._at_origin[n]
            if part.quadratic:
                update = (features * load[:, None]).T @ features - load.sum() * origin.T @ origin
                full = own + self._variances[n] * update
                group = part.groups[:, 0]
                pairs += (full + full.T)[np.ix_(group, group)] / 2
            else:
                update = load @ features - load.sum() * origin[0]
                costs = costs + part.values * (own + self._variances[n] * update)[part.groups]
        model = Pairs(costs, pairs, _roots(self.choices))
        return replace(model, origin=float(model(self._origin)[0]))

    def _centred(self, n: int, a: Float64, b: Float64) -> Float64:
        """Covariances of part n between differences to the origin."""
        part, origin = self._parts[n], self._at_origin[n]
        return part.kernel(a, b) - part.kernel(a, origin) - part.kernel(origin, b) + part.kernel(origin, origin)


def _value(part: _Part, weights: Float64, features: Float64) -> Float64:
    """The part's value for candidates with these features: (n,)."""
    return ((features @ weights) * features).sum(axis=1) if part.quadratic else features @ weights


def _variances(kernels: Float64, gains: Float64, noise: Float64) -> tuple[Float64, Float64]:
    """The variance of each part (kernels (parts, n, n) of mean diagonal 1) that makes the gains likeliest, and the
    variances of all errors: `noise`, and what the parts cannot explain. Of many observations it looks at some."""
    size = float(np.mean(gains**2)) if len(gains) else 0.0
    some = np.unique(np.linspace(0, max(len(gains) - 1, 0), min(len(gains), FITTED)).astype(int))
    every = np.concatenate([kernels[:, some[:, None], some], np.eye(len(some))[None]])
    variances = np.full(len(every), max(size, 1e-30) / len(every))
    for _ in range(ITERATIONS if len(some) >= FEWEST else 0):
        inverse = np.linalg.inv(np.tensordot(variances, every, 1) + np.diag(noise[some]))
        load = inverse @ gains[some]
        explained, expected = (every @ load) @ load, (every * inverse).sum(axis=(1, 2))
        variances = variances * np.sqrt(np.maximum(explained, 0) / np.maximum(expected, 1e-300))
        variances = np.maximum(variances, size * 1e-9)
    return variances[:-1], noise + variances[-1] + size * 1e-9


def _roots(choices: Choices) -> Float64:
    """The size of each error: the root of its cost (tensors, formats)."""
    return np.sqrt(np.where(choices.allowed, np.maximum(choices.cost, 0), 0))


def _parts(choices: Choices) -> list[_Part]:
    """Costs that are wrong in total, by role, depth, role and format, tensor and format; pairs of roles, of tensors."""
    tensors, formats = choices.cost.shape
    cost, roots = np.where(choices.allowed, choices.cost, 0.0), _roots(choices)
    role = _numbered([re.sub(r"\d+", "#", name) for name in choices.tensors])
    numbers = [re.search(r"\d+", name) for name in choices.tensors]
    layers = 1 + max((int(n.group()) for n in numbers if n), default=0)
    depth = _numbered([str(int(n.group()) * DEPTHS // layers) if n else "none" for n in numbers])
    own, every = np.arange(tensors), np.arange(formats)

    def part(values: Float64, group: Indices, quadratic: bool = False, by_format: bool = False) -> _Part:
        groups = np.broadcast_to(group[:, None], cost.shape)
        groups = groups * formats + every if by_format else groups
        return _Part(values, groups, int(groups.max()) + 1, quadratic)

    return [part(cost, 0 * own), part(cost, role), part(cost, depth), part(cost, role, by_format=True),
            part(cost, own, by_format=True), part(roots, role, quadratic=True),
            part(roots, own, quadratic=True)]  # fmt: skip


def _numbered(names: list[str]) -> Indices:
    """The number of each name, in the order of their first mention."""
    found = {name: n for n, name in enumerate(dict.fromkeys(names))}
    return np.array([found[name] for name in names], np.intp)
