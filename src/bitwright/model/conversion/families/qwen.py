"""Qwen 2, 2.5 and 3: Hugging Face's tensors as they are, with biases on q, k and v, or norms on q and k."""

from __future__ import annotations

from bitwright.model.conversion.families.family import Family

FAMILY = Family()
