"""The arithmetic of quant.fixedpoint against Python's integers and fractions, which are exact at any width."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qconv.quant.fixedpoint import (
    ACC_LIMIT,
    Multiplier,
    requantize,
    rescale,
    rescale_sum,
    round_half_even_shift,
    round_shift_half_even,
)

SATURATION = 1 << 62
accumulators = st.integers(-ACC_LIMIT + 1, ACC_LIMIT - 1)
mantissas = st.integers(1 << 30, (1 << 31) - 1)
exponents = st.integers(-40, 80)
scales = st.floats(2.0**-100, 2.0**100, width=32)


def real(multiplier: Multiplier) -> Fraction:
    """M as a fraction."""
    return Fraction(int(multiplier.m0)) / Fraction(2) ** (31 + int(multiplier.n))


def clamp(value: int, low: int, high: int) -> int:
    """`value` between two bounds."""
    return min(max(value, low), high)


@given(scales)
@example(1.0)
@example(float(np.float32(0.1)))
@example(float(np.nextafter(np.float32(1), np.float32(0))))
def test_a_multiplier_equals_its_float32_scale(scale: float) -> None:
    multiplier = Multiplier.of(scale)
    assert real(multiplier) == Fraction(scale)
    assert 1 << 30 <= int(multiplier.m0) < 1 << 31
    assert float(multiplier.real) == scale


@given(scales, scales)
def test_multipliers_of_channels_are_those_of_each_channel(first: float, second: float) -> None:
    both = Multiplier.of(np.array([first, second], np.float32))
    assert [int(m) for m in both.m0] == [int(Multiplier.of(s).m0) for s in (first, second)]
    assert [int(n) for n in both.n] == [int(Multiplier.of(s).n) for s in (first, second)]


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_multiplier_is_positive_and_finite(scale: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        Multiplier.of(scale)


@pytest.mark.parametrize(("m0", "n"), [((1 << 30) - 1, 0), (1 << 31, 0), ([1 << 30], 0)])
def test_a_mantissa_is_normalised(m0: int, n: int) -> None:
    with pytest.raises(ValueError, match="m0 lies in"):
        Multiplier(np.asarray(m0), np.asarray(n))


def test_multipliers_are_equal_by_value() -> None:
    assert Multiplier.of(0.3) == Multiplier.of(0.3)
    assert Multiplier.of(0.3) != Multiplier.of(0.6)
    assert len({Multiplier.of(0.3), Multiplier.of(0.3), Multiplier.of(0.6)}) == 2


@given(accumulators, mantissas, exponents)
@example(1, 1 << 30, 0)  # 1/4
@example(2, 1 << 30, 0)  # 1/2: a tie to 0
@example(6, 1 << 30, 0)  # 3/2: a tie to 2
@example(-2, 1 << 30, 0)
@example(-6, 1 << 30, 0)
@example(ACC_LIMIT - 1, (1 << 31) - 1, 31)  # the largest product
@example(1 - ACC_LIMIT, (1 << 31) - 1, 32)
@example(ACC_LIMIT - 1, (1 << 31) - 1, -40)
def test_rescale_rounds_the_exact_product_once(acc: int, m0: int, n: int) -> None:
    multiplier = Multiplier(np.asarray(m0), np.asarray(n))
    expected = clamp(round(acc * real(multiplier)), -SATURATION, SATURATION)
    got = int(rescale(np.asarray(acc), multiplier))
    # A left shift saturates at 2^62, rounded down to a multiple of its power of two.
    assert got == expected if abs(expected) < SATURATION else abs(got) > 1 << 61 and (got > 0) == (expected > 0)


@given(st.lists(accumulators, min_size=1, max_size=20), st.lists(scales, min_size=3, max_size=3))
def test_rescale_broadcasts_over_channels(accs: list[int], channel_scales: list[float]) -> None:
    multiplier = Multiplier.of(np.array(channel_scales, np.float32))
    got = rescale(np.array(accs)[:, None], multiplier)
    for column, scale in enumerate(channel_scales):
        assert np.array_equal(got[:, column], rescale(np.array(accs), Multiplier.of(scale)))


@given(accumulators, st.floats(2.0**-30, 4.0, width=32), st.integers(0, 255))
@example(-3, 0.5, 128)  # -3/2 is a tie to -2, before the zero point is added
def test_requantize_adds_the_zero_point_after_rounding(acc: int, scale: float, zero_point: int) -> None:
    expected = clamp(zero_point + round(acc * Fraction(scale)), 0, 255)
    assert int(requantize(np.asarray(acc), Multiplier.of(scale), zero_point, 0, 255)) == expected


@given(st.integers(-(1 << 62) + 1, (1 << 62) - 1), st.integers(0, 90))
@example((1 << 62) - 1, 62)
@example((1 << 62) - 1, 63)
@example(1 << 61, 62)  # a half: a tie to 0
@example(3 << 60, 61)  # three halves: a tie to 2
def test_round_shift_is_a_division_by_a_power_of_two(value: int, shift: int) -> None:
    expected = round(Fraction(value, 1 << shift))
    assert int(round_shift_half_even(np.asarray(value), shift)) == expected
    assert round_half_even_shift(value, shift) == expected


@given(st.integers(), st.integers(0, 300))
def test_round_shift_of_python_integers_has_any_width(value: int, shift: int) -> None:
    assert round_half_even_shift(value, shift) == round(Fraction(value, 1 << shift))


codes = st.integers(-255, 255)


@given(codes, scales, codes, scales, st.integers(-128, 255))
@example(1, 0.5, 0, 1.0, 0)  # 1/2: a tie to 0
@example(1, 0.5, 0, 1.0, 1)  # 3/2: a tie to 2, since the zero point stands inside the rounding
@example(255, 2.0**100, -255, 2.0**-100, 3)
def test_rescale_sum_rounds_the_exact_sum_once(a: int, a_scale: float, b: int, b_scale: float, zero_point: int) -> None:
    got = rescale_sum(a, Multiplier.of(a_scale), b, Multiplier.of(b_scale), zero_point)
    assert got == round(a * Fraction(a_scale) + b * Fraction(b_scale) + zero_point)
