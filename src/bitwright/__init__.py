"""bitwright: quantize open-weight language models, run them, and measure what was lost.

>>> import bitwright as bw
>>> engine = bw.load("smollm2-135m")
>>> bw.quantize("smollm2-135m", "q4_k_m", "small.gguf")
>>> bw.open("small.gguf").metadata["general.architecture"]
'llama'

Names are imported when they are first used, so `import bitwright` costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitwright import errors, formats, kernels, measure, quantizers
    from bitwright.engine import Engine, Sampler, Session, load
    from bitwright.engine.generate import generate
    from bitwright.errors import BitwrightError, FileFormatError, UnknownNameError, UnsupportedError, UsageError
    from bitwright.io.gguf import open
    from bitwright.measure.perplexity import perplexity
    from bitwright.model import load_tokenizer
    from bitwright.quantizers import quantize

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
    "errors",
    "formats",
    "generate",
    "kernels",
    "load",
    "load_tokenizer",
    "measure",
    "open",
    "perplexity",
    "quantize",
    "quantizers",
]

_homes = {
    "bitwright.engine": ("Engine", "Sampler", "Session", "generate", "load"),
    "bitwright.errors": ("BitwrightError", "FileFormatError", "UnknownNameError", "UnsupportedError", "UsageError"),
    "bitwright.measure": ("perplexity",),
    "bitwright.io.gguf": ("open",),
    "bitwright.model": ("load_tokenizer",),
    "bitwright.quantizers": ("quantize",),
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
