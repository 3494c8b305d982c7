"""Exponential moving average of the extremes of each sample.

    v_n = sum_i m^(n-i) x_i / W_n,    W_n = sum_i m^(n-i) = (1 - m^n) / (1 - m),    i = 1 .. n

Dividing by the sum of the weights keeps the first sample from counting more than its share. Two runs add up, in order, as

    v = (m^n2 W_1 v_1 + W_2 v_2) / (m^n2 W_1 + W_2)

so merging is associative (to the rounding of float64) and **not commutative**: later samples weigh more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from qconv.calibrate.statistics import Observation, read_extremes
from qconv.quant.types import FloatArray, Scheme

MOMENTUM = 0.99  # a sample counts for a third of its weight after a hundred more


@dataclass(frozen=True)
class Ema:
    """Averaged extremes; `samples` counts those with elements. Depends on the order of the samples."""

    lo: float
    hi: float
    samples: int

    commutes: ClassVar[bool] = False

    @classmethod
    def of(cls, observation: Observation) -> Self:
        """The averages over a run of samples, in their order."""
        filled = observation.filled
        count = int(filled.sum())
        if not count:
            return cls(np.inf, -np.inf, 0)
        return cls(_average(observation.lo[filled]), _average(observation.hi[filled]), count)

    def merge(self, other: Self) -> Self:
        """The averages over the samples of `self`, then those of `other`."""
        if not self.samples or not other.samples:
            return self if self.samples else other
        old, new = MOMENTUM**other.samples * _weight(self.samples), _weight(other.samples)
        lo = (old * self.lo + new * other.lo) / (old + new)
        hi = (old * self.hi + new * other.hi) / (old + new)
        return type(self)(lo, hi, self.samples + other.samples)

    def range(self, scheme: Scheme) -> tuple[float, float]:
        """The averages, whatever the scheme."""
        return (self.lo, self.hi) if self.samples else (0.0, 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data; float64 by their shortest decimals."""
        if not self.samples:
            return {"samples": 0}
        return {"lo": self.lo, "hi": self.hi, "samples": self.samples}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError on damaged data."""
        return cls(*read_extremes(data))


def _weight(samples: int) -> float:
    return (1.0 - MOMENTUM**samples) / (1.0 - MOMENTUM)


def _average(values: FloatArray) -> float:
    weights = MOMENTUM ** np.arange(len(values) - 1, -1, -1, dtype=np.float64)
    return float((weights * values).sum() / weights.sum())
