"""What calibration keeps of a tensor: one immutable value that serves every method, number of bits and symmetry.

Summaries of parts of the data add up to the summary of the whole, exactly. The laws, which tests hold:

    merge(a, merge(b, c)) = merge(merge(a, b), c)
    merge(a, b) = merge(b, a)
    of(all elements) = merge(of(some), of(the rest))         for every cut, but for `samples`
    from_json(to_json(a)) = a

Only the moving averages of EMA depend on the order of the samples. They are kept where they were asked for, and such summaries
refuse to merge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from qconv.errors import UsageError
from qconv.quant.types import FloatArray
from qconv.statistics.averages import Averages
from qconv.statistics.histogram import Doubles, Histogram, exponents

Range = tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """`lo` and `hi` are the exact extremes, both 0 where there are no elements; `samples` counts those with elements.

    `zeros` and `histogram` count the elements that were looked at: all, or a sample of them (qconv/statistics/sampling.py).
    """

    samples: int
    lo: float
    hi: float
    zeros: int
    histogram: Histogram
    averages: Averages | None = None

    @classmethod
    def of(cls, elements: FloatArray) -> Self:
        """The summary of all elements of one sample's tensor, which are finite."""
        if not elements.size:
            return cls(0, 0.0, 0.0, 0, Histogram.of(elements, int(exponents(0.0, 0.0))))
        lo, hi = float(elements.min()) + 0.0, float(elements.max()) + 0.0  # turns -0.0, which would tell the order, into 0.0
        histogram = Histogram.of(elements, int(exponents(lo, hi)))
        return cls(1, lo, hi, int(elements.size) - histogram.total, histogram)

    @property
    def elements(self) -> int:
        """How many elements were looked at."""
        return self.zeros + self.histogram.total

    @property
    def mean(self) -> float:
        """The mean, to half the width of a bin; a function of the counts, so that no order of summation shows."""
        return self._expected(lambda x: x)

    @property
    def variance(self) -> float:
        """The variance about the mean, to the resolution of the bins."""
        mean = self.mean
        return self._expected(lambda x: (x - mean) ** 2)

    @property
    def deviation(self) -> float:
        """Mean absolute deviation from the mean, to the resolution of the bins."""
        mean = self.mean
        return self._expected(lambda x: np.abs(x - mean))

    def merge(self, other: Self) -> Self:
        """The summary of the elements of both. Raises UsageError where either has moving averages."""
        if self.averages is not None or other.averages is not None:
            raise UsageError("moving averages depend on the order of the samples and cannot be merged; use another --method")
        if not self.samples or not other.samples:
            return self if self.samples else other
        lo, hi = min(self.lo, other.lo), max(self.hi, other.hi)
        histogram = self.histogram.merge(other.histogram, int(exponents(lo, hi)))
        return type(self)(self.samples + other.samples, lo, hi, self.zeros + other.zeros, histogram)

    def to_json(self) -> dict[str, Any]:
        """Plain data; extremes as the shortest decimals that give back the same float32."""
        head = {"samples": self.samples, "lo": _decimal(self.lo), "hi": _decimal(self.hi), "zeros": self.zeros}
        averages = {} if self.averages is None else {"averages": self.averages.to_json()}
        return {**head, **averages, **self.histogram.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on other data."""
        samples, zeros = data["samples"], data["zeros"]
        if not all(type(count) is int and count >= 0 for count in (samples, zeros)):
            raise ValueError(f"samples {samples!r} and zeros {zeros!r} are not counts")
        lo, hi = (float(np.float32(data[key])) for key in ("lo", "hi"))
        if not (np.isfinite(lo) and np.isfinite(hi) and lo <= hi):
            raise ValueError(f"[{lo}, {hi}] is not a range")
        histogram = Histogram.from_json(data)
        if histogram.exponent != exponents(lo, hi) or (histogram.total and not _spans(lo, hi, histogram)):
            raise ValueError(f"the histogram does not belong to the range [{lo}, {hi}]")
        averages = Averages.from_json(data["averages"]) if "averages" in data else None
        return cls(samples, lo, hi, zeros, histogram, averages)

    def _expected(self, function: Callable[[Doubles], Doubles]) -> float:
        if not self.elements:
            return 0.0
        others = float((self.histogram.counts * function(self.histogram.centres)).sum())
        total = others + self.zeros * float(function(np.zeros(1))[0])
        return total / self.elements


def _spans(lo: float, hi: float, histogram: Histogram) -> bool:
    return bool(histogram.edges[1] >= lo and histogram.edges[-2] <= hi)


def _decimal(value: float) -> float:
    return float(str(np.float32(value)))
