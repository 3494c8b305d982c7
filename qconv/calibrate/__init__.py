"""Samples to mergeable summaries: one method per file, one kind of data per file."""

from qconv.calibrate.data.image_options import ImageOptions
from qconv.calibrate.data.source import InputInfo, Sample, SampleSource, inputs_of, known_length
from qconv.calibrate.file import Calibration, DataSpec
from qconv.calibrate.merge import merge
from qconv.calibrate.methods import METHODS
from qconv.calibrate.observe import calibrate
from qconv.calibrate.shard import Shard
from qconv.calibrate.sources import open_source
from qconv.calibrate.summary import Summary

__all__ = [
    "METHODS",
    "Calibration",
    "DataSpec",
    "ImageOptions",
    "InputInfo",
    "Sample",
    "SampleSource",
    "Shard",
    "Summary",
    "calibrate",
    "inputs_of",
    "known_length",
    "merge",
    "open_source",
]
