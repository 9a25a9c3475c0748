"""bitwright: quantize open-weight language models, run them, and measure what was lost."""

__version__ = "0.1.0"
