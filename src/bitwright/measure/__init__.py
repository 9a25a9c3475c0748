"""Measuring what a model is worth."""

from bitwright.measure.perplexity import Perplexity, perplexity

__all__ = ["Perplexity", "perplexity"]
