"""Measuring what a model is worth."""

from bitwright.evaluate.perplexity import Perplexity, perplexity

__all__ = ["Perplexity", "perplexity"]
