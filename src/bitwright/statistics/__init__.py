"""Intervals over clusters, survival and paired tests: arithmetic over numbers that knows no model."""
