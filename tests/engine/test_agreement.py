"""llama.cpp reads the files that bitwright writes, and both compute the same from them and from llama.cpp's files.

Engines that quantize activations to int8 in different ways cannot agree on log-probabilities better than each agrees
with the file's exact value: the same weights with float activations. So there are two tests. With the weights decoded
to float32 nothing is quantized, and the engines agree within 0.02 nats; the largest measured differences are 0.006 to
0.011, caused by bitwright's float16 keys and values. On the quantized files llama.cpp is 0.11 to 0.13 nats from the
exact value (root mean square over its likeliest tokens), and 0.29 on Q4_K_M, where 256 activations share a scale.
bitwright must be closer; it measured 0.04 to 0.07 on all files. With llama.cpp's rounding, bitwright is as far from the
exact value as llama.cpp is, but with other errors: the last bit of a sum decides how a value is rounded, and within a
few layers this is as large as the rounding itself.

A file takes 10 to 30 seconds, so all but one are for CI.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from dequantized import Dequantized
from llama_cpp import Choice, LlamaCpp
from reference_forward import log_softmax
from slow import slow_but

from bitwright.engine import Engine, Session, load
from bitwright.quantizers import quantize

PROMPTS = [
    "The history of the bicycle begins in",
    "Once upon a time there was a small robot who",
    "In physics, energy is",
]
TOKENS, CANDIDATES, CONTEXT = 32, 10, 128
FILES = ["smollm2", "gemma3", "widened q4_k_m", "widened q4_0", "widened q8_0"]
AGREEMENT = 0.02  # nats, between engines that compute in float


@pytest.fixture
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """One of FILES, written by llama.cpp or quantized by bitwright."""
    name, *recipe = request.param.split()
    source = request.getfixturevalue(name)
    if not recipe:
        yield source
        return
    target = tmp_path / f"{recipe[0]}.gguf"
    quantize(source, recipe[0], target, threads=2, method="rtn")
    yield target
    target.unlink()


@dataclass
class Continuations:
    """What llama.cpp wrote after each prompt, and its log-probabilities (steps, candidates) of its likeliest tokens."""

    prompts: list[list[int]]
    choices: list[list[Choice]]

    @property
    def tokens(self) -> list[list[int]]:
        return [[choice.token for choice in own] for own in self.choices]

    @property
    def candidates(self) -> np.ndarray:
        return np.array([list(choice.log_probabilities) for own in self.choices for choice in own])

    @property
    def log_probabilities(self) -> np.ndarray:
        return np.array([list(choice.log_probabilities.values()) for own in self.choices for choice in own])


def written_by_llama_cpp(path: Path, engine: Engine, exact_cache: bool) -> Continuations:
    peer = LlamaCpp(path, len(PROMPTS), CONTEXT, exact_cache)
    prompts = [engine.tokenizer.encode(prompt) for prompt in PROMPTS]
    result = Continuations(prompts, peer.greedy(prompts, TOKENS, CANDIDATES))
    ends = engine.tokenizer.end_of_generation
    assert all(len(own) == TOKENS or own[-1] in ends for own in result.tokens)
    assert sum(map(len, result.tokens)) >= 2 * TOKENS
    return result


def prefilled(engine: Engine, text: Continuations) -> np.ndarray:
    """bitwright's log-probabilities (steps, vocabulary) before each token of the continuations, texts read at once."""
    texts = enumerate(zip(text.prompts, text.tokens, strict=True))
    session = engine.session(len(text.prompts))
    return np.concatenate([log_softmax(after(session, number, *both)) for number, both in texts])


def after(session: Session, number: int, prompt: list[int], tokens: list[int]) -> np.ndarray:
    ids = prompt + tokens[:-1]
    return session.extend(ids, range(len(prompt) - 1, len(ids)), number)


def decoded_and_prefilled(engine: Engine, text: Continuations) -> np.ndarray:
    """The same, except that the first text is read token by token, as in generation."""
    session, tokens = engine.session(), text.tokens[0]  # open for both, since a program is packed while one is open
    rows = prefilled(engine, text)
    steps = [session.prefill(text.prompts[0]), *(session.step(token) for token in tokens[:-1])]
    rows[: len(tokens)] = log_softmax(np.array(steps, np.float64))
    return rows


def of_candidates(log_probabilities: np.ndarray, text: Continuations) -> np.ndarray:
    return np.take_along_axis(log_probabilities, text.candidates, 1)


def margins(exact: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The lead of the likeliest token over the one taken, at every step."""
    return exact.max(1) - exact[np.arange(len(tokens)), tokens]


@pytest.mark.parametrize("file", slow_but(["smollm2"], ["smollm2", "gemma3"]), indirect=True)
def test_in_float_the_engines_agree(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "float32.gguf"
    quantize(file, "f32", path, threads=2)
    try:
        engine = load(path, context=CONTEXT)
        text = written_by_llama_cpp(path, engine, exact_cache=True)
        ours = prefilled(engine, text)
    finally:
        path.unlink()
    np.testing.assert_allclose(of_candidates(ours, text), text.log_probabilities, rtol=0, atol=AGREEMENT)
    assert (margins(ours, np.concatenate(text.tokens)) <= AGREEMENT).all()


@pytest.mark.parametrize("file", slow_but(["smollm2"], FILES), indirect=True)
def test_bitwright_is_closer_to_the_exact_value(file: Path) -> None:
    """Only the rounding of activations differs. The tokens are equal except where rounding decides."""
    engine = load(file, context=CONTEXT)
    text = written_by_llama_cpp(file, engine, exact_cache=False)
    exact, ours = prefilled(Dequantized(file).engine(CONTEXT), text), decoded_and_prefilled(engine, text)

    def distance(log_probabilities: np.ndarray) -> float:
        return float(np.sqrt(np.mean((log_probabilities - of_candidates(exact, text)) ** 2)))

    alike = distance(of_candidates(prefilled(engine.replace(activations="ggml"), text), text))
    own, peer = distance(of_candidates(ours, text)), distance(text.log_probabilities)
    lost, lost_by_peer = margins(exact, ours.argmax(1)), margins(exact, np.concatenate(text.tokens))
    print(f"root mean squares in nats: bitwright {own:.4f}, rounding alike {alike:.4f}, llama.cpp {peer:.4f}")
    print(np.round(lost[lost > 0], 3), np.round(lost_by_peer[lost_by_peer > 0], 3))
    assert own < 0.8 * peer
    assert peer / 1.4 < alike < peer * 1.4
    assert lost.max() < 4 * own
