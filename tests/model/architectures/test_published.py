"""Published models by the names that people type."""

from __future__ import annotations

import pytest

from bitwright import names
from bitwright.model.architectures import published
from bitwright.model.architectures.outline import from_published


@pytest.mark.parametrize(
    ("typed", "shape"),
    [
        ("Llama3.1:8B", "llama-3.1-8b"),
        ("llama3:8b", "llama-3-8b"),
        ("Meta-Llama-3-70B-Instruct", "llama-3-70b"),
        ("llama-3.1-70b", "llama-3.3-70b"),
        ("gemma2:9b", "gemma-2-9b"),
        ("gemma-2-2b-it", "gemma-2-2b"),
        ("deepseek-r1:14b", "r1-distill-qwen-14b"),
        ("DeepSeek-R1-Distill-Llama-8B", "llama-3.1-8b"),
        ("deepseek-r1", "deepseek-v3"),
        ("zai-org/GLM-4.7-Flash", "glm-4.7-flash"),
        ("qwen2.5-7b", "qwen2.5-coder-7b"),
        ("Qwen3.8-27B", "qwen3.5-27b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("zai-org/GLM-4.5-Air", "glm-4.5-air"),
        ("GLM-4.7", "glm-4.6"),
        ("granite4:tiny-h", "granite-4.0-h-tiny"),
        ("LFM2.5-1.2B-Instruct", "lfm2-1.2b"),
    ],
)
def test_shapes_by_the_names_that_people_type(typed: str, shape: str) -> None:
    assert published.get(typed).id == shape


def test_no_name_means_two_shapes() -> None:
    said = [(names.compact(name), m.id) for m in published.models().values() for name in {m.id, *m.called}]
    assert len({name for name, _ in set(said)}) == len(set(said))


def test_an_alias_says_whose_shape_it_is() -> None:
    assert from_published("llama-3.1-70b").name == "Llama 3.3 70B (the shape of llama-3.1-70b)"
    assert from_published("Llama-3.3-70B-Instruct").name == "Llama 3.3 70B"
    assert from_published("llama-3-8b").context == 8192 and from_published("llama-3.1-8b").context == 131072
