"""Memory: keys and values compared with published figures and the engines' allocations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from slow import slow_but

from bitwright import formats, kernels, load, load_tokenizer
from bitwright.errors import UnknownNameError
from bitwright.hardware import kv
from bitwright.hardware.memory import longest_context, memory
from bitwright.model.architectures import published
from bitwright.model.architectures.families import FAMILIES
from bitwright.model.architectures.layers import Layer
from bitwright.model.architectures.outline import outline
from bitwright.model.steps import ARCHITECTURES

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import memory as measured

KIB = 1024


@pytest.mark.parametrize(
    ("shape", "per_token"),
    [  # published bytes per token in f16
        ("llama-2-7b", 512 * KIB),
        ("llama-3.1-8b", 128 * KIB),
        ("llama-3.3-70b", 320 * KIB),
        ("qwen3-32b", 256 * KIB),
        ("mistral-7b", 128 * KIB),
    ],
)
def test_grouped_heads(shape: str, per_token: int) -> None:
    found = outline(shape)
    assert kv.kv_bytes_per_token(found) == per_token
    assert kv.kv_bytes(found, 4096) == 4096 * per_token


def test_gemma3_has_windows() -> None:
    """27B at 32768 tokens: 10 of 62 layers keep all tokens, the others 1024 and a batch of 512."""
    found = outline("gemma-3-27b")
    full = [layer for layer in found.layers if layer.window is None]
    assert (len(full), len(found.layers)) == (10, 62)
    per_layer = 2 * 16 * 128 * 2
    assert kv.kv_bytes(found, 32768) == per_layer * (10 * 32768 + 52 * (1024 + 512))


def check_allocated(path: Path, context: int, format: str = "f16") -> None:
    """Weights, cache and states are predicted to the byte, and so are buffers, except that products may need more
    scratch than attention where heads are narrow: up to 64 KiB in each thread."""
    allocated = load(path, context=context, kv=format).session().footprint
    expected = memory(outline(path), None, context, format, engine="bitwright")
    assert (expected.kv, expected.weights) == (allocated["cache"], allocated["packed"])
    assert 0 <= allocated["buffers"] - expected.compute <= kernels.best_threads() * 64 * KIB


@pytest.mark.parametrize(("context", "format"), [(100, "f16"), (8192, "f16"), *((1000, kv) for kv in kernels.KV)])
@pytest.mark.parametrize("model", ["smollm2", "gemma3"])
def test_what_the_engine_allocates(model: str, context: int, format: str, request: pytest.FixtureRequest) -> None:
    check_allocated(request.getfixturevalue(model), context, format)


@pytest.mark.parametrize("family", [family for family in tiny.CONFIGS if FAMILIES[family][0] in ARCHITECTURES])
def test_what_the_engine_allocates_for_every_family(family: str, tmp_path: Path) -> None:
    """Of widths that differ in all parts, and of some that are the same: buffers of one size share their memory."""
    for number, changes in enumerate(({}, tiny.wide(family))):
        tiny.tiny(family, path := tmp_path / f"{number}.gguf", **changes)
        check_allocated(path, 1000)


def test_buffers_of_what_the_engine_does_not_run_are_llama_cpps() -> None:
    ours, theirs = (memory(outline("gemma-2-2b"), None, 1000, engine=name) for name in ("bitwright", "llama.cpp"))
    assert ours.compute == theirs.compute > 0


@pytest.mark.parametrize(
    ("model", "context", "format", "mebibytes"),
    [  # llama.cpp's own "KV buffer size", ggml 0.26: llama-perplexity -c CONTEXT -ctk FORMAT -ctv FORMAT -fa on
        ("smollm2", 512, "f16", 11.25),
        ("smollm2", 4096, "q8_0", 47.81),
        ("gemma3", 512, "q8_0", 0.80 + 3.98),
        ("gemma3", 4096, "f16", 12 + 15),
    ],
)
def test_what_llama_cpp_allocates(
    model: str, context: int, format: str, mebibytes: float, request: pytest.FixtureRequest
) -> None:
    found = outline(request.getfixturevalue(model))
    assert kv.kv_bytes(found, context, format) / KIB / KIB == pytest.approx(mebibytes, abs=0.006)


@pytest.mark.parametrize(
    ("model", "context", "mebibytes"),
    [("smollm2", 512, 102.14), ("smollm2", 4096, 106.77), ("gemma3", 512, 519.28), ("gemma3", 4096, 524.53)],
)
def test_what_llama_cpp_reserves(model: str, context: int, mebibytes: float, request: pytest.FixtureRequest) -> None:
    """Its "CPU compute buffer size", printed by the same command."""
    found = memory(outline(request.getfixturevalue(model)), None, context)
    assert found.compute / KIB / KIB == pytest.approx(mebibytes, rel=0.012)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("context", "format"), [(256, "f16"), pytest.param(700, "q4_0", marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", slow_but(["smollm2"], ["smollm2", "gemma3"]))  # the first case takes 2 s, all take 12
def test_resident_memory(model: str, context: int, format: str, request: pytest.FixtureRequest, data: Path) -> None:
    """A few of the cases of benchmarks/memory.py, measured in the same way."""
    path: Path = request.getfixturevalue(model)
    text = (data / "text/wikitext-2/valid.txt").read_text(encoding="utf-8")
    case = measured.measure(path, load_tokenizer(path).encode(text[:8000]), context, format)
    assert case.good, case.line()


def test_the_longest_context_just_fits() -> None:
    found = outline("llama-3.1-8b")
    budget = 12 << 30
    longest = longest_context(found, "q4_k_m", budget)
    assert memory(found, "q4_k_m", longest).total <= budget < memory(found, "q4_k_m", longest + 1).total
    assert longest_context(found, "q4_k_m", 1 << 30) == 0
    assert longest_context(found, "q4_k_m", 1 << 40) == found.context


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="key-value cache"):
        kv.layer_bytes(Layer("attention", 1, 1, 64, 64), 10, "q9")
    with pytest.raises(UnknownNameError, match="engine"):
        memory(outline("llama-3.1-8b"), "q4_0", 10, engine="vllm")
    with pytest.raises(UnknownNameError, match=r"unknown shape 'llama-3\.1-9b'; did you mean llama-3\.1-8b"):
        published.get("llama-3.1-9b")


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("gemma4_text", {"hidden_size_per_layer_input": 64, "use_double_wide_mlp": False}),
        ("gemma4", {"moe_intermediate_size": 320}),
        ("gemma4", {"moe_intermediate_size": 200, "top_k_experts": 3}),
        ("granitemoehybrid", {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 320}),
        ("qwen3_moe", {"moe_intermediate_size": 320}),
        ("deepseek_v3", {"kv_lora_rank": 192, "v_head_dim": 96, "q_lora_rank": None}),
    ],
)
def test_what_the_engine_allocates_for_layers_that_differ(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    tiny.tiny(family, path := tmp_path / "m.gguf", **{**tiny.wide(family), "global_head_dim": 128, **changes})
    check_allocated(path, 1000)


@pytest.mark.parametrize("format", kernels.KV)
def test_a_latent_vector_is_kept_once(format: str, tmp_path: Path) -> None:
    """128 values and a rotated key of 32, for each token and each of 4 layers."""
    tiny.tiny("deepseek_v3", path := tmp_path / "m.gguf", **tiny.wide("deepseek_v3"))
    bytes_per_token = 4 * formats.get(format).row_bytes(128 + 32)
    assert kv.kv_bytes_per_token(outline(path), format) == bytes_per_token
    allocated = load(path, context=1024, kv=format).session().footprint["cache"]
    assert allocated == kv.kv_bytes(outline(path), 1024, format, engine="bitwright") == 1024 * bytes_per_token
