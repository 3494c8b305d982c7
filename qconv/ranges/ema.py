"""EMA: moving averages of the extremes of each sample, as in training with simulated quantization (Jacob et al. 2018, 3.1)."""

from __future__ import annotations

from qconv.errors import ArtifactError
from qconv.quant.types import Scheme
from qconv.ranges.method import within
from qconv.statistics.summary import Range, Summary


def ema(summary: Summary, scheme: Scheme) -> Range:
    """The averages, whatever the scheme. Raises ArtifactError where they were not kept."""
    if summary.averages is None:
        raise ArtifactError("the calibration kept no moving averages; run `qconv calibrate --method ema`, or take another method")
    return within(summary, summary.averages.lo, summary.averages.hi)
