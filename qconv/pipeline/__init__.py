"""The tool as functions that read like the diagram: load, prepare, calibrate, plan, lower, certify, save, verify."""

from qconv.import_ import read_encodings
from qconv.model.save import files_of
from qconv.pipeline.analyze import analyze
from qconv.pipeline.calibrate import calibrate, run
from qconv.pipeline.checks import Warn, check_samples
from qconv.pipeline.export import Chip, Exported, export
from qconv.pipeline.goals.better_mode import dynamic_gain
from qconv.pipeline.goals.budget import Budget, Within, quantize_within
from qconv.pipeline.goals.price_of_pairs import PairPrice, pair_price
from qconv.pipeline.goals.reach import Attempt, Goal, reach
from qconv.pipeline.job import Job
from qconv.pipeline.outlook import Outlook, outlook
from qconv.pipeline.outputs import Kind, check_folder, check_outputs
from qconv.pipeline.prepared import PreparedModel, load_prepared, self_check
from qconv.pipeline.quantize import Quantized, quantize
from qconv.pipeline.raw_pixels import pixels_for
from qconv.pipeline.recall import calibration_beside, recalled, recalled_images
from qconv.pipeline.report import read_report, write_comparison, write_report
from qconv.pipeline.samples import samples_for, samples_of
from qconv.pipeline.train import train
from qconv.pipeline.verify import QuickCheck, quick_check, slowdown, verify
from qconv.plan.make import tensors_to_observe
from qconv.statistics.calibration import CALIBRATION_SUFFIX

__all__ = [
    "CALIBRATION_SUFFIX",
    "Attempt",
    "Budget",
    "Chip",
    "Exported",
    "Goal",
    "Job",
    "Kind",
    "Outlook",
    "PairPrice",
    "PreparedModel",
    "Quantized",
    "QuickCheck",
    "Warn",
    "Within",
    "analyze",
    "calibrate",
    "calibration_beside",
    "check_folder",
    "check_outputs",
    "check_samples",
    "dynamic_gain",
    "export",
    "files_of",
    "load_prepared",
    "outlook",
    "pair_price",
    "pixels_for",
    "quantize",
    "quantize_within",
    "quick_check",
    "reach",
    "read_encodings",
    "read_report",
    "recalled",
    "recalled_images",
    "run",
    "samples_for",
    "samples_of",
    "self_check",
    "slowdown",
    "tensors_to_observe",
    "train",
    "verify",
    "write_comparison",
    "write_report",
]
