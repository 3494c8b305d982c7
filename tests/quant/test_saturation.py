"""Weights whose products never saturate where processors add pairs in int16, against a model of `vpmaddubsw` in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qconv.quant.params import params_of_weight, quantize_weight
from qconv.quant.saturation import PAIR_LIMIT, KernelOrder, quantize_safely, safe_params, unsafe_pairs
from qconv.quant.types import IntType, PerChannel, PerTensor, QuantParams, Scheme

INT8 = IntType(8, signed=True, narrow=True)
LINES = KernelOrder((0, 1), 1, 6)


def vpmaddubsw(x: NDArray[np.uint8], weights: NDArray[np.int8]) -> int:
    """The sum of products as AVX2 computes it: of neighbours in int16, saturating, then in int32."""
    products = x.astype(np.int64) * weights.astype(np.int64)
    padded = np.pad(products, (0, len(products) % 2)).reshape(-1, 2)
    return int(np.clip(padded.sum(axis=1), -32768, 32767).sum())


def scheme(*, per_tensor: bool = False, bits: int = 8) -> Scheme:
    int_type = IntType(bits, signed=True, narrow=True)
    return Scheme(int_type, symmetric=True, granularity=PerTensor() if per_tensor else PerChannel(0))


@pytest.mark.parametrize("pair", [(1, 127), (64, 64), (127, 1), (-1, -127), (127, -127), (-64, -64)])
def test_pairs_up_to_128_are_exact(pair: tuple[int, int]) -> None:
    weights = np.asarray(pair, np.int8)
    assert not unsafe_pairs(weights).any()
    assert vpmaddubsw(np.full(2, 255, np.uint8), weights) == 255 * sum(pair)


@pytest.mark.parametrize("pair", [(2, 127), (65, 64), (-127, -2)])
def test_a_pair_of_129_is_not(pair: tuple[int, int]) -> None:
    weights = np.asarray(pair, np.int8)
    assert unsafe_pairs(weights).all()
    assert vpmaddubsw(np.full(2, 255, np.uint8), weights) != 255 * sum(pair)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 8), st.booleans())
def test_safe_codes_are_exact_for_every_activation(seed: int, width: int, bits: int, per_tensor: bool) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.laplace(size=(3, width)).astype(np.float32)
    order = KernelOrder((0, 1), 1, width)
    params = params_of_weight(weight, scheme(per_tensor=per_tensor, bits=bits))
    codes = quantize_safely(weight, params, order)
    assert np.abs(codes.astype(int)).max() <= params.int_type.qmax
    for row in codes:
        # Where all weights of one sign meet the greatest activation and the others meet zero, a pair gives its most.
        for x in (np.where(row > 0, 255, 0), np.where(row < 0, 255, 0), rng.integers(0, 256, width)):
            assert vpmaddubsw(x.astype(np.uint8), row) == int((x.astype(np.int64) * row).sum())


def test_nothing_changes_where_all_pairs_are_safe() -> None:
    weight = np.asarray([[1.0, 0.0, -1.0, 0.5, 0.0, 1.0]], np.float32)
    params = params_of_weight(weight, scheme())
    assert safe_params(weight, params, LINES) == params
    assert np.array_equal(quantize_safely(weight, params, LINES), quantize_weight(weight, params))


@given(st.floats(-130, 130, width=32), st.floats(-130, 130, width=32))
def test_a_pair_is_rounded_to_the_nearest_safe_one(a: float, b: float) -> None:
    one = QuantParams(np.asarray(1, np.float32), np.asarray(0), INT8)
    codes = quantize_safely(np.asarray([[a, b]], np.float32), one, KernelOrder((0, 1), 1, 2))[0].astype(int)
    found = (codes[0] - a) ** 2 + (codes[1] - b) ** 2
    least = ((_SAFE - (a, b)) ** 2).sum(axis=1).min()
    # Two pairs of 128 may be equally near in float32, and not quite in float64.
    assert found <= least * (1 + 1e-5) + 1e-5


_ALL = np.stack(np.meshgrid(np.arange(-127, 128), np.arange(-127, 128)), axis=-1).reshape(-1, 2)
_SAFE = _ALL[~unsafe_pairs(_ALL)[:, 0]]


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_scale_is_widened_only_where_that_loses_less(seed: int, per_tensor: bool) -> None:
    weight = np.abs(np.random.default_rng(seed).normal(size=(4, 6))).astype(np.float32)
    params = params_of_weight(weight, scheme(per_tensor=per_tensor))
    wider = safe_params(weight, params, LINES)
    assert (wider.scale >= params.scale).all()
    assert (wider.scale <= params.scale * np.float32(2)).all()

    def loss(chosen: QuantParams) -> NDArray[Any]:
        error = (chosen.dequantize(quantize_safely(weight, chosen, LINES)) - weight).astype(np.float64) ** 2
        return np.atleast_1d(error.sum() if per_tensor else error.sum(axis=1))

    # The loss is summed in steps of the scale, in float32, and here in reals.
    assert (loss(wider) <= loss(params) * (1 + 1e-5)).all()


@pytest.mark.parametrize(
    ("shape", "order", "expected"),
    [
        ((1, 2, 2), KernelOrder((0, 2, 1), 1, 2), [[0, 2, 1, 3]]),
        ((2, 2), KernelOrder((1, 0), 1, 2), [[0, 2], [1, 3]]),
        ((2, 1, 2), KernelOrder((0, 2, 1), 2, 1), [[0], [1], [2], [3]]),
        ((3,), KernelOrder((0,), 0, 3), [[0, 1, 2]]),
        ((1, 1, 3), KernelOrder((0, 1, 2), 1, 4), [[0, 1, 2, 0]]),
    ],
)
def test_rows_lie_in_the_order_of_the_kernel(shape: tuple[int, ...], order: KernelOrder, expected: list[list[int]]) -> None:
    weight = np.arange(np.prod(shape)).reshape(shape)
    assert order.rows(weight).tolist() == expected
    part = order.view(weight)
    assert np.array_equal(order.from_rows(order.as_rows(part), part), part)


def test_the_limit_is_what_int16_holds() -> None:
    assert PAIR_LIMIT * 255 <= 32767 < (PAIR_LIMIT + 1) * 255
