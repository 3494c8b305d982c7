"""Each method against brute force on the stored elements: within one bin at either end.

A minimum may be flat: where ranges far apart cost the same to a thousandth, any of them is right. So a range is accepted
when, at most one bin from its ends, there is a range whose error is within a thousandth of the least.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qconv.quant.types import IntType, Scheme
from qconv.ranges.methods import METHODS
from qconv.ranges.percentile import Percentile
from qconv.statistics.summary import Summary
from tests.ranges.oracles import Bins, Doubles, divergence, squared_error, width
from tests.statistics.strategies import Elements

FLAT = 1.001
RNG = np.random.default_rng(0)
FEW = {
    "normal": RNG.standard_normal(90),
    "laplace": RNG.laplace(size=90),
    "skewed": RNG.gumbel(size=90),
    "uniform": RNG.uniform(-1, 2, 90),
    "outlier": np.append(RNG.standard_normal(70), 30.0),
    "far outlier": np.append(RNG.standard_normal(70), 3000.0),
    "rectified": np.append(np.abs(RNG.standard_normal(90)), 0),
    "exponential": RNG.exponential(size=90),
    "negative": -RNG.exponential(size=90),
    "rectified outlier": np.append(RNG.exponential(size=90), 40.0),
}
MANY = {
    "normal": RNG.standard_normal(3000),
    "skewed": RNG.gumbel(size=3000),
    "outlier": np.append(RNG.laplace(size=3000), 100.0),
    "far outlier": np.append(RNG.standard_normal(3000), 1e6),
    "rectified": np.maximum(RNG.standard_normal(3000), 0),
    "clamped": np.clip(RNG.normal(2, 3, 3000), 0, 6),
    "negative": -RNG.exponential(size=3000),
}
BITS = pytest.mark.parametrize("bits", [8, 6, 4])
SYMMETRIC = pytest.mark.parametrize("symmetric", [False, True], ids=["affine", "symmetric"])


def scheme(bits: int, symmetric: bool) -> Scheme:
    return Scheme(IntType(bits, signed=symmetric), symmetric=symmetric)


def spread(values: NDArray[Any]) -> Elements:
    """Seven elements in the bin of each value, evenly: few bins, and the elements as the histogram has to suppose them."""
    bins = Bins(values.astype(np.float32))
    kept = bins.counts > 0
    places = (np.arange(7) + 0.5) / 7
    inside = bins.edges[:-1][kept, None] + bins.widths[kept, None] * places
    return np.append(inside, np.zeros(7 * np.count_nonzero(values == 0))).astype(np.float32)


def near(ends: Doubles, end: float, bins: Bins) -> NDArray[np.bool_]:
    """Those within one bin of an end."""
    return np.abs(ends - end) <= width(end, bins.exponent) * (1 + 1e-9)


@SYMMETRIC
@BITS
@pytest.mark.parametrize("name", FEW)
def test_mse(name: str, bits: int, symmetric: bool) -> None:
    elements = spread(FEW[name])
    bins, lo, hi = Bins(elements), float(elements.min()), float(elements.max())
    exact = elements.astype(np.float64)
    inside = bins.edges[(bins.edges > lo) & (bins.edges < hi)]
    found = METHODS["mse"](Summary.of(elements), scheme(bits, symmetric))
    if symmetric:
        ends = np.unique(np.append(np.abs(inside), max(-lo, hi)))
        errors = np.array([squared_error(exact, -end, end, bits, True) for end in ends])
        close = errors[near(ends, max(-found[0], found[1]), bins)]
    else:
        lows = np.append(inside[inside < 0], min(lo, 0.0))
        highs = np.append(inside[inside > 0], max(hi, 0.0))
        errors = np.array([[squared_error(exact, low, high, bits, False) for high in highs] for low in lows])
        close = errors[np.ix_(near(lows, min(found[0], 0.0), bins), near(highs, max(found[1], 0.0), bins))]
    assert close.min() <= FLAT * errors.min()


@SYMMETRIC
@BITS
@pytest.mark.parametrize("name", MANY)
def test_entropy(name: str, bits: int, symmetric: bool) -> None:
    """Every threshold that is an edge and keeps half of the elements inside; one-sided tensors keep the end near zero."""
    elements = MANY[name].astype(np.float32)
    bins, lo, hi = Bins(elements), float(elements.min()), float(elements.max())
    largest = max(-lo, hi)
    magnitudes = np.abs(elements[elements != 0].astype(np.float64))
    thresholds = np.unique(np.append(np.abs(bins.edges), largest))
    thresholds = thresholds[(thresholds >= np.median(magnitudes)) & (thresholds <= largest)]
    divergences = np.array([divergence(bins, elements, float(t), bits, symmetric) for t in thresholds])
    found = METHODS["entropy"](Summary.of(elements), scheme(bits, symmetric))
    close = divergences[near(thresholds, max(-found[0], found[1]), bins)]
    assert close.min() <= divergences.min() + 5e-4  # a bin half-way between two codes may count to either: test_entropy.py


@pytest.mark.parametrize("percent", [100.0, 99.99, 99.9, 99.0, 90.0, 50.0])
@pytest.mark.parametrize("name", MANY)
def test_percentile(name: str, percent: float) -> None:
    elements = MANY[name].astype(np.float32)
    bins, ordered = Bins(elements), np.sort(elements.astype(np.float64))
    cut = round(len(ordered) * (100 - percent)) // 200
    lo, hi = Percentile(percent)(Summary.of(elements), scheme(8, False))
    assert ordered[cut] - width(ordered[cut], bins.exponent) <= lo <= ordered[cut]
    assert ordered[-1 - cut] <= hi <= ordered[-1 - cut] + width(ordered[-1 - cut], bins.exponent)


@pytest.mark.parametrize("name", MANY)
def test_minmax(name: str) -> None:
    elements = MANY[name].astype(np.float32)
    assert METHODS["minmax"](Summary.of(elements), scheme(8, False)) == (elements.min(), elements.max())
