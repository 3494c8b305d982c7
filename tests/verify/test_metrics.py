from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qconv.verify.measure.metrics import Similarity, SimilarityMeter


def similarity(*pairs: tuple[object, object]) -> Similarity:
    meter = SimilarityMeter()
    for reference, other in pairs:
        meter.add(np.asarray(reference, np.float32), np.asarray(other, np.float32))
    return meter.result()


def test_figures_on_paper() -> None:
    found = similarity(([3.0, 4.0], [3.0, 3.5]))
    assert found.sqnr_db == pytest.approx(10 * math.log10(25 / 0.25), rel=1e-15)  # rounding of one float64 logarithm
    assert found.cosine == pytest.approx((9 + 14) / (5 * math.sqrt(9 + 12.25)), rel=1e-15)
    assert found.max_error == 0.5
    assert found.elements == 2
    assert not found.exact


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32)))
def test_equal_tensors_have_no_error(array: np.ndarray) -> None:
    found = similarity((array, array))
    assert (found.sqnr_db, found.cosine, found.max_error, found.exact) == (math.inf, 1.0, 0.0, True)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_parts_give_what_the_whole_gives(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    f, g = rng.normal(size=(2, 10)).astype(np.float32)
    whole, parts = similarity((f, g)), similarity((f[:cut], g[:cut]), (f[cut:], g[cut:]))
    assert parts.max_error == whole.max_error
    assert parts.elements == whole.elements
    # float32 sums in another order: 10 terms, each rounded to 2^-24, and 10 log10(1 + x) is below 4.4 x
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db, abs=4.4 * 20 * 2**-24)
    assert parts.cosine == pytest.approx(whole.cosine, abs=20 * 2**-24)


@given(st.integers(0, 2**32 - 1), st.integers(-40, 38), st.sampled_from([10, 1000, 30_000]))
def test_figures_of_float32_are_those_of_float64(seed: int, exponent: int, size: int) -> None:
    f, noise = np.random.default_rng(seed).normal(size=(2, size))
    f, g = (np.clip(x * 10.0**exponent, -3e38, 3e38).astype(np.float32) for x in (f, f + 0.01 * noise))
    found, exact = similarity((f, g)), SimilarityMeter()
    exact.add(f.astype(np.float64), g.astype(np.float64))
    # rows of 256 are added up in float32, 32 at a time: 8 + 5 roundings, and one of the square and of the difference each
    assert found.sqnr_db == pytest.approx(exact.result().sqnr_db, abs=4.4 * 2 * 15 * 2**-24)
    assert found.cosine == pytest.approx(exact.result().cosine, abs=2 * 15 * 2**-24)
    assert found.max_error == pytest.approx(exact.result().max_error, rel=2**-23)


def test_scale_changes_neither_sqnr_nor_cosine() -> None:
    f, g = np.random.default_rng(1).normal(size=(2, 100)).astype(np.float32)
    one, other = similarity((f, g)), similarity((f * 1024, g * 1024))  # a power of two: exact in float32
    assert one.sqnr_db == pytest.approx(other.sqnr_db, rel=1e-14)
    assert one.cosine == pytest.approx(other.cosine, rel=1e-14)
    assert other.max_error == 1024 * one.max_error


def test_ten_times_the_noise_is_twenty_decibels() -> None:
    f, noise = np.random.default_rng(2).normal(size=(2, 100))
    meters = [SimilarityMeter(), SimilarityMeter()]
    meters[0].add(f, f + 0.001 * noise)
    meters[1].add(f, f + 0.01 * noise)
    # f + noise is rounded to 2^-53 of f, 1e-13 of the noise
    assert meters[0].result().sqnr_db - meters[1].result().sqnr_db == pytest.approx(20.0, abs=1e-9)


def test_zero_reference() -> None:
    assert similarity(([0.0, 0.0], [0.0, 0.0])).sqnr_db == math.inf
    found = similarity(([0.0, 0.0], [0.0, 1.0]))
    assert found.sqnr_db == -math.inf
    assert found.cosine == 0.0


def test_equal_infinities_and_nans_are_no_error() -> None:
    found = similarity(([math.inf, math.nan, 1.0], [math.inf, math.nan, 1.0]))
    assert found.exact
    assert found.sqnr_db == math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_only_one_side_has_is_an_infinite_error(bad: float) -> None:
    for pair in (([bad, 1.0], [1.0, 1.0]), ([1.0, 1.0], [bad, 1.0])):
        found = similarity(pair)
        assert found.sqnr_db == -math.inf
        assert found.max_error == math.inf
        assert math.isfinite(found.cosine)


def test_other_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) cannot be compared with \(1, 2\)"):
        similarity(([[1.0, 2.0]], [1.0, 2.0]))


def test_nothing_added() -> None:
    assert SimilarityMeter().result() == Similarity(math.inf, 1.0, 0.0, 0)
