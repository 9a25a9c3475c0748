"""What was lost: a candidate measured against its reference, and models against each other."""

from bitwright.measure.perplexity import Perplexity, perplexity

__all__ = ["Perplexity", "perplexity"]
