"""What a model's inputs are like on a text, and the files that keep it."""

from bitwright.calibration.imatrix import read, write
from bitwright.calibration.moments import Moment, Provenance, Weighting
from bitwright.calibration.statistics import Gathered, Statistics

__all__ = ["Gathered", "Moment", "Provenance", "Statistics", "Weighting", "read", "write"]
