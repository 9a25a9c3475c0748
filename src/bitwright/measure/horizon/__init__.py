"""The horizon suite: how long a model stays with its original, on a fixed set of prompts that anyone can rebuild."""
