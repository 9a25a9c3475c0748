"""Running models: load one, open a session, sample from it."""

from bitwright.engine.generate import generate, text_of
from bitwright.engine.model import Model, load
from bitwright.engine.sampler import Sampler
from bitwright.engine.session import Session

__all__ = ["Model", "Sampler", "Session", "generate", "load", "text_of"]
