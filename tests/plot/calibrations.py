"""Calibrations to draw."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qconv.config import QuantConfig
from qconv.statistics.calibration import Calibration
from qconv.statistics.summary import Summary
from tests.statistics.strategies import summary

SCHEME = QuantConfig().activation
BELL: NDArray[np.float32] = np.random.default_rng(0).normal(0, 1, 20000).astype(np.float32)


def of(*values: float) -> NDArray[np.float32]:
    """The bell with some more elements."""
    return np.append(BELL, np.array(values, np.float32))


def calibration(
    tensors: Mapping[str, NDArray[np.float32] | Summary], method: str = "minmax", derived: Mapping[str, tuple[float, float]] = {}
) -> Calibration:
    """Of one sample each."""
    summaries = {name: found if isinstance(found, Summary) else summary(found) for name, found in tensors.items()}
    return Calibration("0" * 64, method, 1, "arrays", None, summaries, derived=dict(derived))
