"""llama.cpp loads the files that bitwright writes and answers from them.

Quantizing a whole model and loading it twice takes 5 to 20 seconds, so all but one file are for CI.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from llama_cpp import LlamaCpp

from bitwright import formats, kernels
from bitwright.calibration import ActivationStatistics, SecondMoment
from bitwright.calibration.moments import Provenance, pack
from bitwright.engine import load
from bitwright.kernels.encoders import encoders
from bitwright.quantizers import quantize
from bitwright.quantizers.tensor import takes_importance

xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp's Python binding is not installed")

QUESTION = "What is the capital of France?"


def answer(path: Path) -> str:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = 256
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1  # as in llama_cpp.py
    parameters.warmup = parameters.fit_params = False
    server = xllamacpp.Server(parameters)
    reply = server.handle_chat_completions(
        {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 10, "temperature": 0}
    )
    return str(reply["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("model", "recipe", "method", "expected"),
    [
        ("rotated", "q4_0", "rtn", "Paris"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [
            ("widened", "q5_k_m", "rtn", "Paris"),
            ("rotated", "q8_0", "search", "Paris"),
            ("widened", "q4_k_m", "rtn", ""),  # llama-quantize's own file does not know it either
        ]),
    ],
)  # fmt: skip
def test_quantized_file_answers(
    model: str, recipe: str, method: str, expected: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(model)
    result = quantize(source, recipe, tmp_path / "out.gguf", threads=2, method=method)
    assert result.output is not None
    said = answer(result.output)
    assert said.strip() and expected in said


def second_moments(names: Sequence[str], columns: int) -> ActivationStatistics:
    """Second moments of correlated inputs."""
    mixed = np.random.default_rng(0).standard_normal((2 * columns, columns)) + 1
    packed = pack((mixed.T @ mixed / len(mixed)).astype(np.float32))[None]
    moments = (SecondMoment(tuple(names), "plain", 1, columns, lambda: packed),)
    return ActivationStatistics({}, moments=moments, provenance=Provenance(2 * columns))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["search", "feedback"])
def test_a_file_of_every_format_scores_the_same(method: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A layer in each format, the others as they are. llama.cpp's probabilities equal bitwright's except for the
    rounding of activations, which alone moves those of a Q8_0 file by 0.2 to 0.3 nats."""
    path, names = tmp_path / "all.gguf", [f.name for f in map(formats.from_ggml, encoders()) if takes_importance(f)]
    types = [rf"blk\.{i}\.attn_[qk]={name}" for i, name in enumerate(names)]
    matrices = [f"blk.{i}.attn_{kind}.weight" for i in range(len(names)) for kind in "qk"]
    stats = second_moments(matrices, 768) if method == "feedback" else None
    result = quantize(request.getfixturevalue("widened"), "f16", path, types, threads=2, stats=stats, method=method)
    assert result.methods.count(method) >= 2 * len(kernels.feedback_formats())
    engine = load(path, context=64, activations="ggml")
    prompt = engine.tokenizer.encode("The capital of France is")
    (choice,) = LlamaCpp(path, context=64).greedy([prompt], 1, 20)[0]
    ours = engine.session().prefill(prompt).astype(np.float64)
    ours -= ours.max() + np.log(np.exp(ours - ours.max()).sum())
    miss = [ours[token] - log_probability for token, log_probability in choice.log_probabilities.items()]
    assert np.sqrt(np.mean(np.square(miss))) < 0.5
