"""bitwright: quantize open-weight language models, run them, and measure what was lost.

>>> import bitwright as bw
>>> bw.open("smollm2-135m")
<GGUF SmolLM2-135M-Instruct.Q4_1.gguf: llama, 272 tensors, 98.4 MB>
>>> bw.ask("smollm2-135m", "What is the capital of Japan?", max_tokens=7)
'The capital of Japan is Tokyo.'

Names are imported when they are first used, so `import bitwright` costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitwright import errors, formats, kernels, measure, quantizers
    from bitwright.engine import Engine, Sampler, Session, load
    from bitwright.engine.ask import ask
    from bitwright.engine.generate import generate
    from bitwright.errors import BitwrightError, FileFormatError, UnknownNameError, UnsupportedError, UsageError
    from bitwright.measure.divergence import kl_divergence
    from bitwright.measure.perplexity import perplexity
    from bitwright.model import load_tokenizer
    from bitwright.model.files import open
    from bitwright.quantizers import quantize
    from bitwright.views.calls import explain, plan

__version__ = "0.1.0"

__all__ = [
    "BitwrightError",
    "Engine",
    "FileFormatError",
    "Sampler",
    "Session",
    "UnknownNameError",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "ask",
    "errors",
    "explain",
    "formats",
    "generate",
    "kernels",
    "kl_divergence",
    "load",
    "load_tokenizer",
    "measure",
    "open",
    "perplexity",
    "plan",
    "quantize",
    "quantizers",
]

_homes = {
    "bitwright.engine": ("Engine", "Sampler", "Session", "generate", "load"),
    "bitwright.errors": ("BitwrightError", "FileFormatError", "UnknownNameError", "UnsupportedError", "UsageError"),
    "bitwright.engine.ask": ("ask",),
    "bitwright.measure": ("perplexity",),
    "bitwright.measure.divergence": ("kl_divergence",),
    "bitwright.model": ("load_tokenizer",),
    "bitwright.model.files": ("open",),
    "bitwright.quantizers": ("quantize",),
    "bitwright.views.calls": ("explain", "plan"),
}
_modules = ("errors", "measure", "formats", "kernels", "quantizers")


def __getattr__(name: str) -> object:
    """Import `name` on first use (PEP 562) and keep it."""
    home = next((module for module, names in _homes.items() if name in names), None)
    if home is not None:
        value = getattr(importlib.import_module(home), name)
    elif name in _modules:
        value = importlib.import_module(f"bitwright.{name}")
    else:
        raise AttributeError(f"module 'bitwright' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
