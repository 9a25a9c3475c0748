"""One candidate against one reference: all measurements in one object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bitwright.measure import next_token
from bitwright.measure.llama_perplexity import LlamaStatistic, llama_statistics
from bitwright.measure.next_token import Flips, TokenScores
from bitwright.measure.noise_floor import NoiseFloor
from bitwright.measure.overlap import Overlap
from bitwright.measure.perplexity import Perplexity
from bitwright.progress import Progress
from bitwright.statistics import studentized
from bitwright.statistics.interval import FEWEST, Interval

if TYPE_CHECKING:
    from bitwright.engine import Engine
    from bitwright.measure.attribution import Contribution
    from bitwright.measure.reference import ReferencePredictions
    from bitwright.measure.rollout.compounding import Compounding

OVERLAP = 0.01  # share of the evaluation text in a calibration text that gets a warning
CHUNKS = {"quick": 12, "full": 100}  # of the text, by suite


@dataclass(frozen=True)
class Identity:
    """A model file as it was measured."""

    name: str
    sha256: str
    file_bytes: int
    bits_per_weight: float


def identity(engine: Engine, sha256: str) -> Identity:
    """Name, checksum, size and bits per weight of a model."""
    bits = 8 * sum(t.nbytes for t in engine.model.tensors.values()) / parameters(engine)
    return Identity(engine.path.name, sha256, engine.model.file_bytes, bits)


def parameters(engine: Engine) -> int:
    """The number of weights in all tensors."""
    return sum(math.prod(t.shape) for t in engine.model.tensors.values())


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a candidate lost: next-token measures with intervals, the noise floor, and warnings.

    `divergence` is in nats, `flips` are shares of scored tokens, `bits_per_byte` can be compared between tokenizers.
    `floor` and `compounding` (how errors compound over many steps) are None if the reference is llama.cpp's file,
    which cannot be run again. `attribution`: the divergence of each source of error alone, if requested.
    """

    candidate: Identity
    reference: dict[str, Any]
    scores: TokenScores
    divergence: Interval
    same_top1: Interval
    log_perplexity_ratio: Interval
    bits_per_byte: Interval
    flips: Flips
    floor: NoiseFloor | None
    overlaps: tuple[Overlap, ...]
    warnings: tuple[str, ...]
    compounding: Compounding | None = None
    attribution: tuple[Contribution, ...] = ()

    def __repr__(self) -> str:
        return f"<Evaluation of {self.candidate.name}: KL divergence {self.divergence}>"

    @property
    def perplexity(self) -> Perplexity:
        """The candidate's perplexity."""
        return Perplexity(self.scores.windows.context, self.scores.losses)

    @property
    def base_perplexity(self) -> Perplexity:
        """The reference's perplexity on the same tokens."""
        return Perplexity(self.scores.windows.context, self.scores.base_losses)

    @property
    def statistics(self) -> list[LlamaStatistic]:
        """Under llama-perplexity's names."""
        return llama_statistics(self.scores)


def evaluate(
    engine: Engine,
    candidate: Identity,
    reference: ReferencePredictions,
    floor: NoiseFloor | None,
    overlaps: Sequence[Overlap] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Score a candidate against a reference. Raises UsageError if they do not share a tokenizer."""
    scores = next_token.score_tokens(engine, reference, progress)
    ratio = scores.mean(scores.losses - scores.base_losses)
    return Evaluation(
        candidate=candidate,
        reference=reference.about,
        scores=scores,
        divergence=scores.mean(scores.divergences),
        same_top1=scores.mean(scores.same_top),
        log_perplexity_ratio=ratio,
        bits_per_byte=bits_per_byte(scores),
        flips=next_token.flips(scores),
        floor=floor,
        overlaps=tuple(overlaps),
        warnings=tuple(warnings(scores, ratio, overlaps)),
    )


def of_itself(candidate: Identity, reference: ReferencePredictions, floor: NoiseFloor | None) -> Evaluation:
    """The reference against itself, from its stored predictions: nothing is lost."""
    chunks = [reference.chunk(index) for index in range(len(reference.windows))]
    losses, top = np.array([c.losses for c in chunks]), np.array([c.top for c in chunks])
    scores = TokenScores(reference.windows, losses, losses, np.zeros(losses.shape), top, top)
    none = scores.mean(scores.divergences)
    return Evaluation(candidate, reference.about, scores, none, scores.mean(scores.same_top), none,
                      bits_per_byte(scores), next_token.flips(scores), floor, (), ())  # fmt: skip


def bits_per_byte(scores: TokenScores) -> Interval:
    """The candidate's bits per byte of the scored text."""
    return per_byte(scores.losses, scores)


def per_byte(losses: np.ndarray, scores: TokenScores) -> Interval:
    """Losses in nats (chunks, scored) as bits per byte of text, with the interval over documents."""
    clusters, of = next_token.clusters_of(scores.windows)
    _, members = np.unique(clusters.ravel(), return_inverse=True)
    nats, sizes = np.bincount(members, losses.ravel()), np.bincount(members, scores.windows.sizes.ravel())
    return studentized.ratio(nats / math.log(2), sizes.astype(np.float64), of)


def warnings(scores: TokenScores, ratio: Interval, overlaps: Sequence[Overlap]) -> list[str]:
    """What a reader should know before trusting the figures."""
    found = [
        f"{100 * o.share:.1f}% of the text's runs of 13 words also occur in the calibration text: the "
        "figures flatter models calibrated on it"
        for o in overlaps
        if o.share >= OVERLAP
    ]
    if ratio.estimate < 0:
        cause = "which chance can explain" if ratio.ends else "and there is too little text to say whether by chance"
        if ratio.below(0):
            cause = "more than chance can explain: was it calibrated on this text?"
        below = 100 * (1 - math.exp(ratio.estimate))
        found.append(f"its perplexity is {below:.2f}% below the reference's, {cause}")
    if ratio.of == "chunks":
        count = len(np.unique(scores.windows.documents))
        documents = f"the scored text has {count} {'document' if count == 1 else 'documents'}"
        if ratio.ends:
            found.append(f"{documents}, too few to resample: intervals are over chunks and may be too narrow")
        else:
            chunks = f"{ratio.clusters} {'chunk' if ratio.clusters == 1 else 'chunks'}"
            found.append(f"{documents} and {chunks}: intervals need {FEWEST} of either, so there are none")
    return found
