"""llama.cpp itself loads what we write and answers from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitwright.quantizers import quantize

xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp's Python binding is not installed")

QUESTION = "What is the capital of France?"


def answer(path: Path) -> str:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = 256
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1  # as in llama_cpp.py
    server = xllamacpp.Server(parameters)
    reply = server.handle_chat_completions(
        {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 10, "temperature": 0}
    )
    return str(reply["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("model", "recipe", "expected"),
    [
        ("widened", "iq4_xs", "Paris"),
        ("rotated", "q4_1", "Paris"),
        ("rotated", "iq2_m", ""),  # points of grids, which llama.cpp reads; without an importance they say nothing
        ("rotated", "q5_k_m", "Paris"),
        ("widened", "q4_k_m", ""),  # llama-quantize's own file does not know it either
    ],
)
def test_quantized_file_answers(
    model: str, recipe: str, expected: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(model)
    result = quantize(source, recipe, tmp_path / "out.gguf", threads=2)
    assert result.output is not None
    said = answer(result.output)
    assert said.strip() and expected in said
