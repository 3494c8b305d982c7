"""What calibration keeps of a tensor: immutable values that are made of observations and add up.

A method is one class in one file; `qconv/calibrate/methods.py` lists them. The laws, which tests hold all of them to:

    merge(a, merge(b, c)) = merge(merge(a, b), c)            always
    merge(a, b) = merge(b, a)                                where `commutes`
    from_json(to_json(a)) = a                                exactly
    of(all samples) = merge(of(the first), of(the rest))     for every cut
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from qconv.quant.types import FloatArray, Scheme


@dataclass(frozen=True)
class Observation:
    """What the graph reports about one tensor over a run of samples, in their order.

    `lo` and `hi` are float32 of shape [samples]: the smallest and the largest element of each sample, finite. A sample in
    which the tensor has no elements has lo = inf and hi = -inf.
    """

    lo: FloatArray
    hi: FloatArray

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which samples have elements at all."""
        return self.lo <= self.hi


class Statistic(Protocol):
    """A mergeable summary of one tensor; frozen, compared by value."""

    commutes: ClassVar[bool]  # whether the order of the samples, and of merging, does not matter

    @classmethod
    def of(cls, observation: Observation) -> Self:
        """The statistic of a run of samples."""
        ...

    def merge(self, other: Self) -> Self:
        """The statistic of the samples of `self` followed by those of `other`."""
        ...

    def range(self, scheme: Scheme) -> tuple[float, float]:
        """(lo, hi) that `scheme` should cover; (0, 0) when nothing was observed."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain data, from which `from_json` makes an equal value."""
        ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on anything else."""
        ...


def read_extremes(data: Mapping[str, Any]) -> tuple[float, float, int]:
    """(lo, hi, samples) of a statistic's JSON, checked; an empty one has only `samples`, which is 0."""
    samples = data["samples"]
    if type(samples) is not int or samples < 0:
        raise ValueError(f"samples is {samples!r}, not a count")
    if samples == 0:
        return np.inf, -np.inf, 0
    lo, hi = float(data["lo"]), float(data["hi"])
    if not (np.isfinite(lo) and np.isfinite(hi) and lo <= hi):
        raise ValueError(f"[{lo}, {hi}] is not a range")
    return lo, hi, samples
