"""Requantization in blocks of rows, against the arithmetic of quant.fixedpoint on the whole."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.integer.execution.kernels.requantize import code_values, look_up, requantize_rows, requantize_table
from qconv.quant.fixedpoint import Multiplier, requantize
from qconv.quant.types import INT8, UINT8, IntType, QuantParams


def params(zero_point: int, int_type: IntType) -> QuantParams:
    """A zero point; requantization reads no scale."""
    return QuantParams(np.asarray(1, np.float32), np.asarray(zero_point), int_type)


@pytest.mark.parametrize("shape", [(7, 40_000), (5000, 11), (1, 3), (3, 0)])
@pytest.mark.parametrize("by", ["row", "column", "nothing"])
def test_blocks_make_no_difference(shape: tuple[int, int], by: str) -> None:
    rng = np.random.default_rng(0)
    acc = rng.integers(-(1 << 20), 1 << 20, shape)
    form = {"row": (shape[0], 1), "column": (1, shape[1]), "nothing": ()}[by]
    multiplier = Multiplier.of(rng.uniform(1e-5, 1e-3, form).astype(np.float32))
    bias = rng.integers(-5000, 5000, form)
    expected = requantize(acc + bias, multiplier, 3, -128, 127)
    got = requantize_rows(acc.astype(np.float64), bias, multiplier, params(3, INT8))
    assert got.dtype == np.int8
    assert np.array_equal(got, expected)


def test_ties_and_long_sums_are_rounded_as_in_int64() -> None:
    """Halves of even and odd codes, and sums on both sides of the 29 bits whose products float64 holds."""
    ends = np.array([1 << 29, (1 << 30) + 1, (1 << 31) - 1])
    acc = np.concatenate([np.arange(-4096, 4097), ends - 1, ends[:2], -ends, -ends + 1]).reshape(1, -1)
    scales = np.array(
        [0.5, 0.25, 1.5 * 2.0**-24, 127 / 2.0**30, np.nextafter(np.float32(2.0**-23), 1, dtype=np.float32)], np.float32
    )
    for scale in scales:
        multiplier = Multiplier.of(scale)
        long = Multiplier(multiplier.m0 + 1, multiplier.n)  # more than the 24 bits of a float32
        for each in (multiplier, long):
            for some in (acc, acc[:, :8193]):
                got = requantize_rows(some, np.zeros((), np.int64), each, params(-7, INT8))
                assert np.array_equal(got, requantize(some, each, -7, -128, 127))


TOP = 2**31


@pytest.mark.parametrize(
    ("acc", "bias", "fits"), [(TOP - 1, 0, True), (TOP - 1, 1, False), (1 - TOP, 0, True), (1 - TOP, -1, False)]
)
def test_sums_beyond_int32_are_refused(acc: int, bias: int, fits: bool) -> None:
    def run() -> np.ndarray:
        return requantize_rows(np.array([[acc]]), np.array(bias), Multiplier.of(2.0**-30), params(0, INT8))

    if fits:
        assert run().tolist() == [[round(acc * 2.0**-30)]]
    else:
        with pytest.raises(ValueError, match="int32"):
            run()


@pytest.mark.parametrize("int_type", [UINT8, INT8])
def test_tables_are_indexed_by_bit_patterns(int_type: IntType) -> None:
    dtype = int_type.dtype
    values = code_values(dtype)
    every = np.arange(256, dtype=np.uint8).view(dtype)
    assert np.array_equal(values, every.astype(np.int64))
    table = requantize_table(Multiplier.of(0.5), params(10, int_type), params(20, int_type))
    limits = np.iinfo(dtype)
    assert np.array_equal(look_up(table, every), np.clip(np.rint((values - 10) / 2) + 20, limits.min, limits.max))
