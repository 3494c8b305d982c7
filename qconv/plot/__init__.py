"""Pictures of a calibration: a histogram per tensor with the ranges of all methods, and contact sheets."""

from qconv.plot.album import plot

__all__ = ["plot"]
