"""Activation statistics, their files, and the texts to gather them on."""

from bitwright.calibration.activations import ActivationStatistics, SquareSums
from bitwright.calibration.imatrix import read, write
from bitwright.calibration.moments import Provenance, SecondMoment, Weighting

__all__ = ["ActivationStatistics", "Provenance", "SecondMoment", "SquareSums", "Weighting", "read", "write"]
