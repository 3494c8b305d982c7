"""Ranges, weights and biases become parameters that keep their promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qconv.quant.fixedpoint import ACC_LIMIT
from qconv.quant.params import (
    SMALLEST_SCALE,
    accumulator_bounds,
    accumulators_fit,
    params_of_constant,
    params_of_range,
    params_of_weight,
    quantize_bias,
    quantize_weight,
    widen_for_accumulator,
)
from qconv.quant.types import UINT8, IntType, PerChannel, QuantParams, Scheme

ACTIVATION = Scheme(UINT8)
WEIGHT = Scheme(IntType(8, signed=True, narrow=True), symmetric=True, granularity=PerChannel(0))
reals = st.floats(-1e6, 1e6, width=32)


@given(reals, reals, st.integers(4, 8))
def test_zero_is_exact_and_the_range_is_covered_to_half_a_step(a: float, b: float, bits: int) -> None:
    lo, hi = min(a, b, 0.0), max(a, b, 0.0)
    params = params_of_range(lo, hi, Scheme(IntType(bits, signed=False)))
    assert params.dequantize(params.zero_point) == 0.0
    step = float(params.scale)
    codes = params.quantize(np.asarray([lo, hi], np.float32))
    # Half a step by rounding the zero point, a ten-thousandth for the float32 arithmetic of quantize and dequantize.
    assert np.abs(params.dequantize(codes) - [lo, hi]).max() <= 0.5001 * step or step == SMALLEST_SCALE


def test_a_tensor_that_is_always_zero_has_parameters() -> None:
    params = params_of_range(0.0, 0.0, ACTIVATION)
    assert (float(params.scale), int(params.zero_point)) == (float(np.float32(1 / 255)), 0)
    assert params_of_constant(np.zeros(0, np.float32), ACTIVATION) == params


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_range_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        params_of_range(0.0, bad, ACTIVATION)


def test_symmetric_weights_use_127_and_a_dead_channel_takes_the_smallest_scale() -> None:
    weight = np.asarray([[1.0, -2.54], [0.0, 0.0], [0.1, 0.127]], np.float32)
    params = params_of_weight(weight, WEIGHT)
    assert np.allclose(params.scale, [0.02, 0.001, 0.001], rtol=1e-6)  # float32 division
    assert quantize_weight(weight, params).tolist() == [[50, -127], [0, 0], [100, 127]]


@given(st.integers(1, 5), st.integers(1, 7))
def test_weights_are_quantized_alike_in_blocks(rows: int, columns: int) -> None:
    weight = np.random.default_rng(rows * 8 + columns).normal(size=(rows, columns)).astype(np.float32)
    params = params_of_weight(weight, WEIGHT)
    assert np.array_equal(quantize_weight(weight, params), params.quantize(weight))


def test_a_bias_that_would_overflow_widens_its_channel_only() -> None:
    weight = np.asarray([[1e-8], [1.0]], np.float32)
    bias = np.asarray([50.0, 0.1], np.float32)
    x = params_of_range(0.0, 1.0, ACTIVATION)
    params = params_of_weight(weight, WEIGHT)
    with pytest.raises(ValueError, match="int32"):
        quantize_bias(bias, x.scale, params.scale)
    wider, raised = widen_for_accumulator(params, weight, bias, x, (1,))
    assert raised == 1
    assert wider.scale[1] == params.scale[1]
    codes = quantize_weight(weight, wider)
    lo, hi = accumulator_bounds(codes, (1,), quantize_bias(bias, x.scale, wider.scale), x)
    assert max(abs(lo).max(), abs(hi).max()) < ACC_LIMIT


@pytest.mark.parametrize("zero_point", [0, 20, 128, 235, 255])
def test_sums_that_would_overflow_widen_their_channel_wherever_the_zero_point_is(zero_point: int) -> None:
    """The longer side of the codes counts: 200,000 products of 127 and 235 leave int32, those of 127 and 20 do not."""
    weight = np.stack([np.ones(200_000), np.eye(1, 200_000)[0]]).astype(np.float32)
    x = QuantParams(np.asarray(0.1, np.float32), np.asarray(zero_point), UINT8)
    params = params_of_weight(weight, WEIGHT)
    wider, raised = widen_for_accumulator(params, weight, None, x, (1,))
    assert (raised, wider.scale[1]) == (1, params.scale[1])
    lo, hi = accumulator_bounds(quantize_weight(weight, wider), (1,), None, x)
    assert max(abs(lo).max(), abs(hi).max()) < ACC_LIMIT


def test_accumulator_bounds_are_reached() -> None:
    x = QuantParams(np.asarray(0.1, np.float32), np.asarray(100), UINT8)
    codes = np.asarray([[3, -2, 5]], np.int8)
    lo, hi = accumulator_bounds(codes, (1,), np.asarray([7], np.int32), x)
    extremes = [sum(w * (255 * c - 100) for w, c in zip([3, -2, 5], qs, strict=True)) + 7 for qs in np.ndindex(2, 2, 2)]
    assert (int(lo[0]), int(hi[0])) == (min(extremes), max(extremes))


@pytest.mark.parametrize(
    ("units", "fits"), [(2**31 - 1 - 4 * 255, True), (2**31 - 4 * 255, False), (-(2**31) + 1, True), (-(2**31), False)]
)
def test_a_bias_takes_of_the_room_of_an_accumulator(units: int, fits: bool) -> None:
    """Sums of four products lie in [0, 4 * 255]; |sum + bias| must stay below 2^31, and so must the bias alone."""
    x, scale = QuantParams(np.asarray(0.5, np.float32), np.asarray(0), UINT8), np.asarray(0.25, np.float32)
    codes, bias = np.ones((1, 4), np.int8), np.asarray([units * 0.125])
    assert accumulators_fit(codes, (1,), bias, x, scale) == fits
    assert accumulators_fit(codes, (1,), None, x, scale)
