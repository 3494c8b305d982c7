from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.statistics.histogram import BINS, OCTAVE, Histogram, bin_of, edge_of, exponents
from tests.statistics.strategies import ELEMENTS, FLOATS, Elements


def spanned(lo: float, hi: float, exponent: int) -> float:
    """Bins of width 2^e."""
    low, high = np.floor(np.ldexp([lo, hi], -exponent))
    return float(high - low)


@given(a=FLOATS, b=FLOATS)
def test_the_exponent_is_the_smallest_that_does(a: float, b: float) -> None:
    lo, hi = min(a, b), max(a, b)
    e = int(exponents(lo, hi))
    assert spanned(lo, hi, e) < BINS
    at_the_resolution_of_float32 = e <= max(int(np.frexp(max(abs(lo), abs(hi)))[1]) - 24, -126)
    assert at_the_resolution_of_float32 or spanned(lo, hi, e - 1) >= BINS


@given(a=FLOATS, b=FLOATS, c=FLOATS)
def test_a_wider_range_never_has_finer_bins(a: float, b: float, c: float) -> None:
    lo, middle, hi = sorted((a, b, c))
    assert exponents(lo, hi) >= max(exponents(lo, middle), exponents(middle, hi))


@pytest.mark.parametrize(("lo", "hi", "exponent"), [(0, 1, -10), (0, 0.9999, -11), (-1, 1, -9), (0, 6, -8), (0, 0, -126)])
def test_exponents_by_hand(lo: float, hi: float, exponent: int) -> None:
    assert exponents(np.float32(lo), np.float32(hi)) == exponent


@given(elements=ELEMENTS.filter(lambda e: e.size > 0), coarser=st.integers(0, 40))
def test_every_element_lies_in_its_bin_and_bins_are_as_wide_as_said(elements: Elements, coarser: int) -> None:
    e = min(int(exponents(elements.min(), elements.max())) + coarser, 118)
    values = elements[np.abs(elements) >= 2.0**-126].astype(np.float64)
    numbers = bin_of(values.astype(np.float32), e)
    lower, upper = edge_of(numbers, e), edge_of(numbers + 1, e)
    positive = values > 0
    assert (np.where(positive, lower <= values, lower < values) & np.where(positive, values < upper, values <= upper)).all()
    octave = np.floor(np.log2(np.where(positive, lower, -upper)))
    assert (upper - lower == np.ldexp(1.0, np.minimum(e, octave - np.log2(OCTAVE)).astype(int))).all()


@given(elements=ELEMENTS.filter(lambda e: e.size > 0), first=st.integers(0, 20), more=st.integers(0, 60))
def test_coarsening_is_counting_with_coarser_bins(elements: Elements, first: int, more: int) -> None:
    e = min(int(exponents(elements.min(), elements.max())) + first, 118)
    assert Histogram.of(elements, e).coarsened(min(e + more, 118)) == Histogram.of(elements, min(e + more, 118))


def test_an_outlier_leaves_the_rest_its_resolution() -> None:
    rest = np.linspace(1, 2, 1000, dtype=np.float32)
    found = Histogram.of(np.append(rest, np.float32(1e30)), int(exponents(1.0, 1e30)))
    assert len(found.bins) == OCTAVE + 2  # 2.0 itself begins the next octave


def test_bins_by_hand() -> None:
    """With e = -2, bins are 1/4 wide from 32 on; below, 128 an octave."""
    found = Histogram.of(np.array([-32.3, -32.25, 0.0, 1e-45, 32.0, 32.2, 33.0, 33.1, -1.0], np.float32), -2)
    assert (found.filled.tolist(), found.total) == ([2, 1, 2, 2], 7)
    assert edge_of(found.bins, -2).tolist() == [-32.5, -1 - 2**-7, 32.0, 33.0]
    assert edge_of(found.bins + 1, -2).tolist() == [-32.25, -1.0, 32.25, 33.25]


def test_gaps_are_bins_without_elements() -> None:
    found = Histogram.of(np.array([32.0, 33.0, 33.25], np.float32), -2)
    assert found.edges.tolist() == [32.0, 32.25, 33.0, 33.25, 33.5]
    assert (found.counts.tolist(), found.widths.tolist()) == ([1, 0, 1, 1], [0.25, 0.75, 0.25, 0.25])


def test_equal_histograms() -> None:
    a = Histogram.of(np.array([1.0, 2.0, 2.0], np.float32), 0)
    b = Histogram.gathered(0, bin_of([2.0, 1.0, 2.0], 0))
    assert a == b and hash(a) == hash(b)
    assert a != Histogram.of(np.array([1.0, 2.0], np.float32), 0)
