"""From config.json to the tensors of a GGUF file: one small function per family, one table.

Facts of each family, by its `model_type`: llama.cpp's src/models/*.cpp (tensors) and conversion/*.py (keys).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bitwright.errors import UnsupportedError
from bitwright.formats import Format
from bitwright.hardware.draft import Draft
from bitwright.hardware.facts import Facts
from bitwright.hardware.families import dense

# model_type -> (GGUF's name of the architecture, what adds keys and tensors)
FAMILIES: dict[str, tuple[str, Callable[[Draft], None]]] = {
    "llama": ("llama", dense.llama),
    "mistral": ("llama", dense.llama),
    "smollm3": ("smollm3", dense.smollm3),
    "qwen2": ("qwen2", dense.qwen2),
    "qwen3": ("qwen3", dense.qwen3),
    "gemma": ("gemma", dense.gemma),
    "gemma2": ("gemma2", dense.gemma2),
    "gemma3": ("gemma3", dense.gemma3),
    "gemma3_text": ("gemma3", dense.gemma3),
    "phi3": ("phi3", dense.phi3),
    "granite": ("granite", dense.granite),
    "glm4": ("glm4", dense.glm4),
}


def draft(config: dict[str, Any], place: object, base: Format) -> Draft:
    """The file that a config.json stands for, its matrices in the format `base`; place: what errors name.

    Raises UnsupportedError for a family that is not known, FileFormatError for a value that is missing or wrong.
    """
    facts = Facts(config, place)
    family = facts.text("model_type")
    if family not in FAMILIES:
        raise UnsupportedError(f"{place}: model_type", family or "(none)", FAMILIES)
    architecture, fill = FAMILIES[family]
    found = Draft(architecture, facts, base)
    fill(found)
    return found
