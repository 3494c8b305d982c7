"""Whole multiples of few-bit codes keep the reals of a weight and meet its bias more closely."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.quant.finer import bias_moves, finer_params
from qconv.quant.params import quantize_weight
from qconv.quant.types import INT8, UINT8, IntArray, IntType, QuantParams

X = QuantParams(np.asarray(0.5, np.float32), np.asarray(0), UINT8)
Y = QuantParams(np.asarray(0.25, np.float32), np.asarray(3), IntType(3, signed=False))


def weight(axis: int | None) -> tuple[IntArray, QuantParams]:
    codes = np.random.default_rng(0).integers(-4, 4, (6, 5))
    scale = np.linspace(0.1, 0.6, 6, dtype=np.float32) if axis == 0 else np.asarray(0.3, np.float32)
    return codes, QuantParams(scale, np.zeros(scale.shape, np.int8), IntType(3, signed=True), axis)


@pytest.mark.parametrize("axis", [0, None])
def test_codes_are_multiples_and_biases_move_less(axis: int | None) -> None:
    codes, given = weight(axis)
    bias = np.random.default_rng(1).normal(size=6)
    finer = finer_params(given, codes, (1,), bias, X, Y, 64)
    factor = np.rint(given.scale / finer.scale).astype(int)
    found = quantize_weight(given.dequantize(codes), finer)
    assert np.array_equal(found, codes * (factor if axis is None else factor[:, None]))
    assert np.abs(found.astype(int)).max() <= 64
    assert bias_moves(bias, X, finer.scale, Y).max() < 0.2 * bias_moves(bias, X, given.scale, Y).max()


def test_what_is_exact_or_has_no_room_stays() -> None:
    codes, given = weight(0)
    units = float(X.scale) * given.scale.astype(np.float64)
    assert finer_params(given, codes, (1,), 7 * units, X, Y, 64) is given
    assert finer_params(given, codes, (1,), None, X, Y, 64) is given
    wide = QuantParams(given.scale, given.zero_point, INT8, 0)
    assert finer_params(wide, codes * 20, (1,), 7.4 * units, X, Y, 64) is wide
