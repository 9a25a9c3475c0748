"""A reference, two of its quantizations, and prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitwright as bw
from bitwright.engine import Engine
from bitwright.measure.rollout.writing import Prompt


@pytest.fixture(scope="session")
def models(quantized_files: dict[str, Path]) -> dict[str, Engine]:
    return {name: bw.load(file, context=96) for name, file in quantized_files.items()}


@pytest.fixture(scope="session")
def prompts(models: dict[str, Engine], data: Path) -> list[Prompt]:
    """The first 8 to 12 tokens of twenty stories; each two count as one document."""
    stories = (data / "text/tinystories/tiny.utf8").read_text().split("<|endoftext|>")[:20]
    encode = models["f32"].tokenizer.encode
    return [Prompt(np.array(encode(s.strip())[: 8 + i % 5], np.int32), i // 2) for i, s in enumerate(stories)]
