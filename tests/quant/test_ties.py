"""What is said of ties, against brute force: every accumulator of an interval, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.quant.certify import certify_one, certify_table, certify_weight_scale, effective_scale
from qconv.quant.fixedpoint import Multiplier, rescale, rescale_sum, round_shift_half_even, round_shift_half_up
from qconv.quant.tables import add_table, affine_table, leaky_relu_table, mul_table
from qconv.quant.ties import tie_free
from qconv.quant.types import UINT8, FloatArray, QuantParams

REACH = 3000


def alike(scale: FloatArray, lo: int, hi: int, first: int, last: int) -> bool:
    acc, multiplier = np.arange(first, last + 1), Multiplier.of(scale)
    up = np.clip(rescale(acc, multiplier, round_shift_half_up), lo, hi)
    return np.array_equal(up, np.clip(rescale(acc, multiplier), lo, hi))


@pytest.mark.parametrize(("lo", "hi"), [(0, 255), (-128, 127), (-255, 0), (-3, 252)])
@pytest.mark.parametrize(("first", "last"), [(-REACH, REACH), (1, 40), (-7, -2), (5, 5)])
def test_tie_free_is_exactly_the_scales_that_round_alike(lo: int, hi: int, first: int, last: int) -> None:
    rng = np.random.default_rng(0)
    # mantissas of few bits, which meet ties, and of all 24 bits, which hardly do
    few = (2 * rng.integers(0, 32, 150) + 1) * np.exp2(-rng.integers(1, 14, 150))
    scales = np.concatenate([few, rng.uniform(1e-4, 2, 30), [2.0, 64.0, 2.0**-60]]).astype(np.float32)
    ends = np.full(len(scales), first), np.full(len(scales), last)
    right = [alike(np.asarray(scale), lo, hi, first, last) for scale in scales]
    assert tie_free(scales, lo, hi, *ends).tolist() == right
    assert any(right)


@given(st.integers(-(1 << 61), 1 << 61), st.integers(0, 70))
def test_half_up_is_the_floor_of_what_is_a_half_more(product: int, shift: int) -> None:
    right = (2 * product + (1 << shift)) >> (shift + 1)
    assert int(round_shift_half_up(np.asarray(product), shift)) == right
    one = Multiplier.of(1.0)  # m0 = 2^30, n = -1
    assert rescale_sum(product, one, 0, one, 0, half_up=True) == product


def test_ties_go_up_and_not_to_even() -> None:
    halves = np.asarray([-5, -3, -1, 1, 3, 5])
    assert round_shift_half_up(halves, 1).tolist() == [-2, -1, 0, 1, 2, 3]
    assert round_shift_half_even(halves, 1).tolist() == [-2, -2, 0, 0, 2, 2]


def u8(scale: float, zero_point: int = 0) -> QuantParams:
    return QuantParams(np.asarray(scale, np.float32), np.asarray(zero_point), UINT8)


def test_certificates_count_what_is_free_of_ties() -> None:
    def reach(values: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(values), -900), np.full(len(values), 900)

    one = np.asarray(1, np.float32)
    weights = np.asarray([0.5, 0.3, 0.25, 0.7], np.float32)  # M = 1/2, 0.3, 1/4, 0.7
    _, certificate = certify_weight_scale(one, weights, one, 0, 255, reach)
    assert (certificate.tie_free, certificate.ties) == (2, True)
    _, certificate = certify_one(weights[1:2].reshape(()), lambda s: effective_scale(s, one, one), 0, 255, -900, 900)
    assert (certificate.tie_free, certificate.ties) == (1, False)


@pytest.mark.parametrize(("scale", "free"), [(0.5, 0), (0.3, 1)])
def test_tables_tell_whether_ties_matter(scale: float, free: int) -> None:
    x, one = u8(scale), u8(1.0)
    tables = {
        "affine": lambda x, rounding: affine_table(x, one, rounding),
        "leaky": lambda x, rounding: leaky_relu_table(x, one, 0.37, rounding),
        "add": lambda x, rounding: add_table(x, one, one, rounding),
        "mul": lambda x, rounding: mul_table(x, one, one, rounding),
    }
    for name, table in tables.items():
        ours = lambda x, table=table: table(x, round_shift_half_even)  # noqa: E731
        up = lambda x, table=table: table(x, round_shift_half_up)  # noqa: E731
        assert certify_table(x, ours, ours, half_up=up)[1].tie_free == free, name


def test_a_wide_sum_rounds_half_up_too() -> None:
    """Scales so far apart that the sum needs Python's integers: 1/2 + 2^-40 is no tie, 1/2 is one."""
    a, b, y = u8(0.5), u8(2.0**-40), u8(1.0)
    up, even = add_table(a, b, y, round_shift_half_up), add_table(a, b, y)
    assert (up[1, 0], even[1, 0]) == (1, 0)
    assert up[1, 1] == even[1, 1] == 1
