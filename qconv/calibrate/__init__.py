"""Samples to mergeable statistics: one method per file, one kind of data per file."""

from qconv.calibrate.data.image_options import ImageOptions
from qconv.calibrate.data.source import InputInfo, Sample, SampleSource, inputs_of, known_length
from qconv.calibrate.file import Calibration, DataSpec
from qconv.calibrate.methods import METHODS
from qconv.calibrate.observe import calibrate
from qconv.calibrate.sources import open_source
from qconv.calibrate.statistics import Observation, Statistic

__all__ = [
    "METHODS",
    "Calibration",
    "DataSpec",
    "ImageOptions",
    "InputInfo",
    "Observation",
    "Sample",
    "SampleSource",
    "Statistic",
    "calibrate",
    "inputs_of",
    "known_length",
    "open_source",
]
