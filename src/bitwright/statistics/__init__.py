"""Intervals over clusters, survival and paired tests: arithmetic that knows nothing of models."""
