"""What a plan may know of the values of tensors: the centres of the bins of their histograms."""

from __future__ import annotations

import numpy as np

from qconv.plan.steep import Distribution, DistributionOf
from qconv.statistics.calibration import Calibration


def distributions(calibration: Calibration) -> DistributionOf:
    """The distribution of a tensor by name; None for one that was not calibrated."""

    def found(name: str) -> Distribution | None:
        summary = calibration.tensors.get(name)
        if summary is None:
            return None
        values = np.append(summary.histogram.centres, 0.0)
        counts = np.append(summary.histogram.counts, summary.zeros).astype(np.float64)
        return Distribution(values[counts > 0], counts[counts > 0])

    return found
