"""What varies in reals that are all on one side of zero, such as temperatures in kelvin: their mean is no signal.

SQNR of what varies = SQNR sum (f - mean)^2 / sum f^2
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STILL = 1e-10  # share of the signal that varies; less is rounding of a constant
_BLOCK = 1 << 18  # elements that are reckoned in float64 at a time


class BandMeter:
    """Adds up a tensor over samples."""

    def __init__(self) -> None:
        self._elements, self._sum, self._square = 0, 0.0, 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, reference: NDArray[Any]) -> None:
        """One more sample; only reals can be far from zero."""
        if reference.dtype.kind != "f":
            self._low, self._high = -math.inf, math.inf
        if not reference.size or self._low <= 0.0 <= self._high:
            return
        self._low, self._high = min(self._low, float(reference.min())), max(self._high, float(reference.max()))
        self._elements += reference.size
        flat = np.ravel(reference)
        for start in range(0, flat.size, _BLOCK):
            f = flat[start : start + _BLOCK].astype(np.float64)
            self._sum += float(f.sum())
            self._square += float(np.vdot(f, f))

    def db(self, sqnr_db: float) -> float | None:
        """The SQNR of what varies, in dB; None where the values lie on both sides of zero, stand still or are not finite."""
        one_sided = 0.0 < self._low <= self._high < math.inf or -math.inf < self._low <= self._high < 0.0
        if not one_sided or not math.isfinite(sqnr_db):
            return None
        share = 1.0 - self._sum**2 / self._elements / self._square
        return sqnr_db + 10.0 * math.log10(share) if share > _STILL else None
