"""Exponential moving averages of the extremes of each sample: the one statistic that depends on the order of the samples.

    v_n = sum_i m^(n-i) x_i / W_n,    W_n = sum_i m^(n-i) = (1 - m^n) / (1 - m),    i = 1 .. n

Dividing by the sum of the weights keeps the first sample from counting more than its share. Two runs add up, in order, as

    v = (m^n2 W_1 v_1 + W_2 v_2) / (m^n2 W_1 + W_2)

so following on is associative (to the rounding of float64) and **not commutative**: later samples weigh more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from qconv.quant.types import FloatArray

MOMENTUM = 0.99  # a sample counts for a third of its weight after a hundred more


@dataclass(frozen=True)
class Averages:
    """Averaged extremes; `samples` counts those with elements."""

    lo: float
    hi: float
    samples: int

    @classmethod
    def of(cls, lo: FloatArray, hi: FloatArray) -> Self:
        """The averages over a run of samples, in order: float32 extremes [samples]; lo > hi where a sample has no elements."""
        filled = lo <= hi
        count = int(filled.sum())
        if not count:
            return cls(0.0, 0.0, 0)
        return cls(_average(lo[filled]), _average(hi[filled]), count)

    def followed_by(self, other: Self) -> Self:
        """The averages over the samples of `self`, then those of `other`."""
        if not self.samples or not other.samples:
            return self if self.samples else other
        old, new = MOMENTUM**other.samples * _weight(self.samples), _weight(other.samples)
        lo = (old * self.lo + new * other.lo) / (old + new)
        hi = (old * self.hi + new * other.hi) / (old + new)
        return type(self)(lo, hi, self.samples + other.samples)

    def to_json(self) -> dict[str, Any]:
        """Plain data; float64 by their shortest decimals."""
        return {"lo": self.lo, "hi": self.hi, "samples": self.samples}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on other data."""
        lo, hi, samples = float(data["lo"]), float(data["hi"]), data["samples"]
        if type(samples) is not int or samples < 0 or not (np.isfinite(lo) and np.isfinite(hi) and lo <= hi):
            raise ValueError("averages are a range and a number of samples")
        return cls(lo, hi, samples)


def _weight(samples: int) -> float:
    return (1.0 - MOMENTUM**samples) / (1.0 - MOMENTUM)


def _average(values: FloatArray) -> float:
    weights = MOMENTUM ** np.arange(len(values) - 1, -1, -1, dtype=np.float64)
    return float((weights * values).sum() / weights.sum())
