from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.calibrate.histogram import BINS, Histogram, bin_of, exponents
from tests.calibrate.strategies import FLOATS


@given(a=FLOATS, b=FLOATS)
def test_the_exponent_is_the_smallest_that_does(a: float, b: float) -> None:
    lo, hi = min(a, b), max(a, b)
    e = int(exponents(lo, hi))
    assert bin_of(hi, e) - bin_of(lo, e) < BINS
    finer_fits = bin_of(hi, e - 1) - bin_of(lo, e - 1) < BINS
    at_the_resolution_of_float32 = e <= max(int(np.frexp(max(abs(lo), abs(hi)))[1]) - 24, -160)
    assert not finer_fits or at_the_resolution_of_float32


@given(a=FLOATS, b=FLOATS, c=FLOATS)
def test_a_wider_range_never_has_finer_bins(a: float, b: float, c: float) -> None:
    lo, middle, hi = sorted((a, b, c))
    assert exponents(lo, hi) >= max(exponents(lo, middle), exponents(middle, hi))


@pytest.mark.parametrize(("lo", "hi", "exponent"), [(0, 1, -10), (0, 0.9999, -11), (-1, 1, -9), (0, 6, -8), (0, 0, -160)])
def test_exponents_by_hand(lo: float, hi: float, exponent: int) -> None:
    assert exponents(np.float32(lo), np.float32(hi)) == exponent


@given(values=st.lists(st.floats(-100, 100, width=32), min_size=1), more=st.integers(0, 70))
def test_coarsening_is_counting_with_coarser_bins(values: list[float], more: int) -> None:
    array = np.array(values, np.float32)
    e = int(exponents(array.min(), array.max()))
    assert Histogram.of(array, e).coarsened(e + more) == Histogram.of(array, e + more)


def test_bins_by_hand() -> None:
    found = Histogram.of(np.array([-0.5, -0.25, 0.0, 0.24, 0.25, 0.26, 1.0], np.float32), -2)
    assert (found.first, found.counts.tolist(), found.width, found.total) == (-2, [1, 1, 1, 2, 0, 0, 1], 0.25, 6)
    assert found.edges.tolist() == [-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.25]
    trimmed = Histogram.trimmed(-2, -3, np.array([0, 1, 1, 1, 2, 0, 0, 1, 0]))
    assert trimmed == found and hash(trimmed) == hash(found)
    assert Histogram.trimmed(0, 5, np.zeros(4, np.int64)) == Histogram.of(np.zeros(3, np.float32), 0)
