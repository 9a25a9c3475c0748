"""Chains of steps that can be checked: where a model first goes wrong, and what follows an error."""
