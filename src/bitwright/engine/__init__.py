"""Running models: open one, open a session, sample from it."""

from bitwright.engine.engine import Engine, RunOptions, load
from bitwright.engine.generate import generate, text_of
from bitwright.engine.sampler import Sampler
from bitwright.engine.session import Session

__all__ = ["Engine", "RunOptions", "Sampler", "Session", "generate", "load", "text_of"]
