from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qconv.quant.types import UINT8, IntType, Scheme
from qconv.ranges.mse import mse
from qconv.ranges.quantization_error import mean_squared_errors
from qconv.statistics.summary import Summary
from tests.ranges.tensors import BITS, ONE_SIDED, TWO_SIDED
from tests.statistics.strategies import bin_width


def exhaustive(summary: Summary, scheme: Scheme) -> tuple[float, float]:
    """The best end over all edges of bins, where only one end is searched."""
    magnitudes: NDArray[np.float64] = np.abs(summary.histogram.edges)
    ends = np.minimum(magnitudes, max(-summary.lo, summary.hi))
    lo, hi = (-ends, np.zeros_like(ends)) if -summary.lo > summary.hi else (np.zeros_like(ends), ends)
    best = int(mean_squared_errors(summary, lo, hi, scheme).argmin())
    return float(lo[best]), float(hi[best])


@BITS
@pytest.mark.parametrize("name", ONE_SIDED)
def test_one_end_is_within_a_bin_of_the_exhaustive_search(name: str, bits: int) -> None:
    summary = Summary.of(ONE_SIDED[name].astype(np.float32))
    scheme = Scheme(IntType(bits, signed=False))
    found, best = mse(summary, scheme), exhaustive(summary, scheme)
    best = max(best[0], summary.lo), min(best[1], summary.hi)
    assert found == pytest.approx(best, abs=bin_width(summary, max(best, key=abs)))


@BITS
@pytest.mark.parametrize("name", TWO_SIDED)
def test_a_symmetric_range_is_within_a_bin_of_the_exhaustive_search(name: str, bits: int) -> None:
    summary = Summary.of(TWO_SIDED[name].astype(np.float32))
    scheme = Scheme(IntType(bits, signed=True), symmetric=True)
    found, best = mse(summary, scheme), exhaustive(summary, scheme)
    reach = max(-best[0], best[1])
    assert max(-found[0], found[1]) == pytest.approx(reach, abs=bin_width(summary, reach))


@BITS
@pytest.mark.parametrize("name", TWO_SIDED)
def test_neither_end_can_be_bettered(name: str, bits: int) -> None:
    """Against every edge for one end while the other stays: at most a thousandth better."""
    summary = Summary.of(TWO_SIDED[name].astype(np.float32))
    scheme = Scheme(IntType(bits, signed=False))
    lo, hi = mse(summary, scheme)
    edges = summary.histogram.edges
    (error,) = mean_squared_errors(summary, np.array([lo]), np.array([hi]), scheme)
    below, above = edges[(edges < 0) & (edges > summary.lo)], edges[(edges > 0) & (edges < summary.hi)]
    others = [
        mean_squared_errors(summary, below, np.full_like(below, hi), scheme).min(),
        mean_squared_errors(summary, np.full_like(above, lo), above, scheme).min(),
    ]
    assert error <= min(others) * 1.001


def test_nothing_is_clipped_where_rounding_costs_nothing() -> None:
    """Sixteen values that 4 bits represent exactly."""
    summary = Summary.of(np.repeat(np.arange(16), 10).astype(np.float32))
    lo, hi = mse(summary, Scheme(UINT8, symmetric=False))
    assert (lo, hi) == (0.0, 15.0)
