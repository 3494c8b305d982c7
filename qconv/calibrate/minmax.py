"""Min-max: the smallest and the largest value ever seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from qconv.calibrate.statistics import Observation, read_extremes
from qconv.quant.types import Scheme


@dataclass(frozen=True)
class MinMax:
    """The extremes over all samples, exactly as float32; `samples` counts those with elements."""

    lo: float
    hi: float
    samples: int

    commutes: ClassVar[bool] = True

    @classmethod
    def of(cls, observation: Observation) -> Self:
        """The extremes of a run of samples; adding 0.0 turns -0.0, which would depend on the order, into 0.0."""
        lo = float(observation.lo.min(initial=np.float32(np.inf))) + 0.0
        hi = float(observation.hi.max(initial=np.float32(-np.inf))) + 0.0
        return cls(lo, hi, int(observation.filled.sum()))

    def merge(self, other: Self) -> Self:
        """The extremes of both."""
        return type(self)(min(self.lo, other.lo), max(self.hi, other.hi), self.samples + other.samples)

    def range(self, scheme: Scheme) -> tuple[float, float]:
        """The extremes, whatever the scheme."""
        return (self.lo, self.hi) if self.samples else (0.0, 0.0)

    def to_json(self) -> dict[str, Any]:
        """Shortest decimals that give back the same float32."""
        if not self.samples:
            return {"samples": 0}
        return {"lo": _decimal(self.lo), "hi": _decimal(self.hi), "samples": self.samples}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError on damaged data."""
        lo, hi, samples = read_extremes(data)
        return cls(float(np.float32(lo)), float(np.float32(hi)), samples)


def _decimal(value: float) -> float:
    return float(str(np.float32(value)))
